//! Where one history is played: an implementation's driver, raw peers, and the notes of what was told.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use oncue_interop::raw::Version;

use crate::driver::{Driver, Launch, Told, hex};
use crate::peer::{Peer, Port};
use crate::verdict::{BARRIER, Found, Ledger, Verdict, listed};
use crate::{Step, Trouble};

/// What a history is played with.
#[derive(Clone, Debug)]
pub struct Stage {
    /// The implementation.
    pub launch: Launch,
    /// How long something may take that is true of an implementation that tells the truth.
    pub patience: Duration,
    /// The version of the raw peers, where the history needs none in particular: subscriptions are messages at 3.0, and
    /// commands at 3.1.
    pub version: Version,
}

impl Stage {
    /// Starts a driver.
    ///
    /// # Errors
    /// If it does not start.
    pub fn driver(&self) -> Step<Driver> {
        let mut driver = Driver::start(&self.launch)?;
        // Its start takes as long as it takes.
        driver.about()?;
        Ok(driver)
    }

    /// An XPUB that is bound.
    ///
    /// # Errors
    /// If its driver refuses.
    pub fn bound(&self) -> Step<Publisher<'_>> {
        let mut publisher = self.publisher("new xpub")?;
        publisher.endpoint = publisher.driver.ask("bind", self.patience)?;
        Ok(publisher)
    }

    /// An XPUB that is bound and sends heartbeats.
    ///
    /// # Errors
    /// If its driver refuses.
    pub fn bound_with_heartbeat(&self) -> Step<Publisher<'_>> {
        let mut publisher = self.publisher("new xpub heartbeat")?;
        publisher.endpoint = publisher.driver.ask("bind", self.patience)?;
        Ok(publisher)
    }

    /// An XPUB that connects to a raw subscriber.
    ///
    /// # Errors
    /// If its driver refuses, or no connection comes.
    pub fn connected(&self, port: &Port) -> Step<(Publisher<'_>, Peer)> {
        let mut publisher = self.publisher("new xpub")?;
        // Some return from `connect` only when they are connected.
        publisher.driver.tell(&format!("connect {}", port.endpoint()))?;
        let peer = self.accept(port)?;
        publisher.driver.answer(self.patience)?.ok_or(Trouble::Late("the end of `connect`"))?;
        Ok((publisher, peer))
    }

    /// An XPUB that connects to a program.
    ///
    /// # Errors
    /// If its driver refuses.
    pub fn connected_to(&self, endpoint: &str) -> Step<Publisher<'_>> {
        let mut publisher = self.publisher("new xpub")?;
        publisher.driver.ask(&format!("connect {endpoint}"), self.patience)?;
        Ok(publisher)
    }

    fn publisher(&self, order: &str) -> Step<Publisher<'_>> {
        let mut driver = self.driver()?;
        driver.ask(order, self.patience)?;
        Ok(Publisher {
            stage: self,
            driver,
            endpoint: String::new(),
            ledger: Ledger::default(),
            barriers: 0,
            first_untruth: None,
            last_quiet: String::new(),
        })
    }

    /// A raw subscriber that connects.
    ///
    /// # Errors
    /// If its handshake fails.
    pub fn subscriber(&self, endpoint: &str) -> Step<Peer> {
        Peer::connect(endpoint, "SUB", self.version, self.patience)
    }

    /// A raw subscriber that an implementation connects to.
    ///
    /// # Errors
    /// If none comes.
    pub fn accept(&self, port: &Port) -> Step<Peer> {
        port.accept("SUB", self.version, self.patience)
    }
}

/// An XPUB of the implementation, and what its user was told.
pub struct Publisher<'a> {
    stage: &'a Stage,
    /// Its driver.
    pub driver: Driver,
    /// Where it is bound.
    pub endpoint: String,
    ledger: Ledger,
    barriers: u32,
    first_untruth: Option<(String, String)>,
    last_quiet: String,
}

impl Publisher<'_> {
    /// Waits until everything that this peer has sent has been told.
    ///
    /// # Errors
    /// If that is not told in time.
    pub fn barrier(&mut self, peer: &mut Peer) -> Step<Vec<u8>> {
        self.barriers += 1;
        let prefix = format!("{}{}", char::from(BARRIER), self.barriers).into_bytes();
        peer.subscribe(&prefix)?;
        let deadline = Instant::now() + self.stage.patience;
        while let Some(told) = self.next(deadline)? {
            if told == Told::Wanted(prefix.clone()) {
                return Ok(prefix);
            }
        }
        Err(Trouble::Late("the notice of a subscription"))
    }

    /// A quiet point: nothing more will happen, and exactly these prefixes are wanted.
    ///
    /// # Errors
    /// If the program ends.
    pub fn quiet(&mut self, when: &str, wanted: &[&str]) -> Step<()> {
        let wanted = wanted.iter().map(|prefix| prefix.as_bytes().to_vec()).collect();
        self.quiet_set(when, &wanted)
    }

    /// The same, of a set.
    ///
    /// # Errors
    /// If the program ends.
    pub fn quiet_set(&mut self, when: &str, wanted: &BTreeSet<Vec<u8>>) -> Step<()> {
        let deadline = Instant::now() + self.stage.patience;
        while self.ledger.wanted() != wanted && self.next(deadline)?.is_some() {}
        let same = self.ledger.wanted() == wanted;
        let counted = if self.ledger.counted() == *wanted && !same {
            " (a user who counts the events instead would be right)"
        } else {
            ""
        };
        self.last_quiet = format!("{when}: {}", listed(wanted));
        if !same && self.first_untruth.is_none() {
            let told = format!("{when}: {}{counted}", listed(self.ledger.wanted()));
            self.first_untruth = Some((self.last_quiet.clone(), told));
        }
        // Where an implementation can be asked, its answer must be the same as what it told.
        match self.driver.ask("list", self.stage.patience) {
            Ok(list) if same => {
                let listed_now: BTreeSet<Vec<u8>> = list
                    .split_whitespace()
                    .map(crate::driver::unhex)
                    .filter(|prefix| prefix.first() != Some(&BARRIER))
                    .collect();
                if listed_now != *wanted && self.first_untruth.is_none() {
                    let told = format!("{when}, when asked: {}", listed(&listed_now));
                    self.first_untruth = Some((self.last_quiet.clone(), told));
                }
                Ok(())
            }
            Ok(_) | Err(Trouble::Cannot(_)) => Ok(()),
            Err(trouble) => Err(trouble),
        }
    }

    /// Sends a message on a topic.
    ///
    /// # Errors
    /// If the driver refuses.
    pub fn send(&mut self, topic: &[u8]) -> Step<()> {
        self.driver.ask(&format!("send {}", hex(topic)), self.stage.patience).map(|_| ())
    }

    /// Whether nothing untrue was found at the quiet points so far.
    pub fn is_right_so_far(&self) -> bool {
        self.first_untruth.is_none()
    }

    /// What was found, with the number of first and last edges that were true.
    pub fn found(self, first: usize, last: usize) -> Found {
        if let Some((truth, told)) = self.first_untruth {
            return Found { verdict: Verdict::False, truth, told };
        }
        let edges = |(first, last)| format!("{first} × first, {last} × last");
        let truth = format!("{}; {}", self.last_quiet, edges((first, last)));
        let told = format!("the same set; {}", edges(self.ledger.edges()));
        let verdict = if self.ledger.edges() == (first, last) { Verdict::True } else { Verdict::Edges };
        Found { verdict, truth, told }
    }

    fn next(&mut self, deadline: Instant) -> Step<Option<Told>> {
        let told = self.driver.event(deadline.saturating_duration_since(Instant::now()))?;
        if let Some(told) = &told {
            self.ledger.note(told);
        }
        Ok(told)
    }
}
