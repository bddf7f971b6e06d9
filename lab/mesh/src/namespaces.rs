//! Three sites in three network namespaces, on a bridge in a fourth one: partitions as a torn cable makes them, and a slow link that
//! loses packets where the kernel can do that. It needs root and `ip`; nothing outside of the namespaces is changed.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::process::Command;
use std::thread;
use std::time::Duration;

use oncue_testing::Rng;

use crate::Outcome;
use crate::faults::{change, settle};
use crate::scene::{SITES, Scene, Setting, System};

/// What was compared, and what was left out.
type Row = (String, Duration);

/// The namespaces of a run. Their drop deletes them, and all that is in them.
struct Namespaces(Vec<String>);

impl Namespaces {
    fn name(of: &str) -> String {
        format!("oncue-{}-{of}", std::process::id())
    }

    /// One for each site, and `hub` with the bridge.
    fn new() -> Outcome<Namespaces> {
        let mut made = Namespaces(Vec::new());
        let hub = made.add("hub")?;
        ip(&["-n", &hub, "link", "add", "bridge", "type", "bridge"])?;
        ip(&["-n", &hub, "link", "set", "bridge", "up"])?;
        for (number, site) in SITES.into_iter().enumerate() {
            let (own, wire) = (made.add(site)?, format!("to-{site}"));
            let pair = [
                "link", "add", "uplink", "netns", &own, "type", "veth", "peer", "name", &wire, "netns", &hub,
            ];
            ip(&pair)?;
            ip(&["-n", &hub, "link", "set", &wire, "master", "bridge", "up"])?;
            ip(&["-n", &own, "address", "add", &format!("{}/24", address(number)), "dev", "uplink"])?;
            ip(&["-n", &own, "link", "set", "uplink", "up"])?;
        }
        Ok(made)
    }

    fn add(&mut self, of: &str) -> Outcome<String> {
        let name = Namespaces::name(of);
        ip(&["netns", "add", &name])?;
        self.0.push(name.clone());
        ip(&["-n", &name, "link", "set", "lo", "up"])?;
        Ok(name)
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        for name in &self.0 {
            let _ = ip(&["netns", "delete", name]);
        }
    }
}

/// Of the site with this number. Nothing outside of the namespaces has a route to it.
fn address(number: usize) -> Ipv4Addr {
    Ipv4Addr::new(10, 213, 0, number as u8 + 1)
}

fn ip(args: &[&str]) -> Outcome<()> {
    run("ip", args)
}

fn run(program: &str, args: &[&str]) -> Outcome<()> {
    let output = Command::new(program).args(args).output().map_err(|why| format!("{program}: {why}"))?;
    match output.status.success() {
        true => Ok(()),
        false => {
            let why = String::from_utf8_lossy(&output.stderr);
            Err(format!("`{program} {}`: {}", args.join(" "), why.trim()))
        }
    }
}

/// Plays the partitions. Fails if demand was wrong at a quiet point.
pub(crate) fn play(seed: u64, timeout: Duration) -> Outcome<()> {
    let _namespaces = match Namespaces::new() {
        Ok(namespaces) => namespaces,
        Err(why) => {
            println!("skipped: network namespaces cannot be made here: {why}");
            return Ok(());
        }
    };
    let named = |(number, site): (usize, &str)| (site.to_owned(), (Namespaces::name(site), address(number)));
    let namespaces: BTreeMap<_, _> = SITES.into_iter().enumerate().map(named).collect();
    let setting = Setting { timeout, subscribers: 2, sockets: 3, namespaces, ..Setting::new(System::Peers) };
    let mut scene = Scene::start(setting)?;
    let mut run = Run { rng: Rng::new(seed), limit: timeout + Duration::from_secs(10), rows: Vec::new() };
    println!("seed {seed}, timeout {} ms", timeout.as_millis());
    run.compare(&mut scene, "at first")?;
    for site in SITES {
        run.partition(&mut scene, site)?;
    }
    run.blink(&mut scene)?;
    run.slow(&mut scene)?;
    for (what, took) in &run.rows {
        println!("exact after {:5} ms: {what}", took.as_millis());
    }
    Ok(())
}

struct Run {
    rng: Rng,
    limit: Duration,
    rows: Vec<Row>,
}

impl Run {
    /// Subscribers change what they want; then demand must become exact.
    fn compare(&mut self, scene: &mut Scene, what: &str) -> Outcome<()> {
        for _ in 0..20 {
            change(scene, &mut self.rng)?;
        }
        let quiet = settle(scene, self.limit)?;
        match quiet.wrong {
            Some(wrong) => Err(format!("{what}: {wrong}")),
            None => {
                self.rows.push((what.to_owned(), quiet.took));
                Ok(())
            }
        }
    }

    /// A site is cut off, and comes back.
    fn partition(&mut self, scene: &mut Scene, site: &str) -> Outcome<()> {
        set_link(site, "down")?;
        scene.parted.insert(site.to_owned());
        self.compare(scene, &format!("{site} is cut off"))?;
        set_link(site, "up")?;
        scene.parted.remove(site);
        self.compare(scene, &format!("{site} is back"))
    }

    /// A cut that is over before the timeout.
    fn blink(&mut self, scene: &mut Scene) -> Outcome<()> {
        set_link("b", "down")?;
        thread::sleep(scene.setting.timeout / 3);
        set_link("b", "up")?;
        self.compare(scene, "b was cut off for a third of the timeout")
    }

    /// Delay and loss, if the kernel has netem.
    fn slow(&mut self, scene: &mut Scene) -> Outcome<()> {
        let hub = Namespaces::name("hub");
        let netem = [
            "-n", &hub, "qdisc", "add", "dev", "to-c", "root", "netem", "delay", "30ms", "10ms", "loss", "5%",
        ];
        if let Err(why) = run("tc", &netem) {
            println!("left out: delay and loss: {why}");
            return Ok(());
        }
        self.compare(scene, "30 ms and 5% loss towards c")
    }
}

fn set_link(site: &str, state: &str) -> Outcome<()> {
    ip(&["-n", &Namespaces::name("hub"), "link", "set", &format!("to-{site}"), state])
}
