//! `oncue demand`: prints what is wanted, and publishes nothing.

use clap::{ArgMatches, Command, arg};
use oncue::DemandEvent;
use oncue_observe::schema::{Demand, Peers, State, Wanted, bytes};
use oncue_observe::topic;

use crate::fail::Fail;
use crate::signals::{Stop, Waited};
use crate::stdio::say;
use crate::table::{Align, Table};
use crate::viewer::{self, Viewer};
use crate::{json, output, publisher, stdio};

pub(crate) fn command() -> Command {
    Command::new("demand")
        .about("Print which prefixes have a subscriber, as that changes")
        .after_help(
            "It is a publisher that sends nothing: it binds ENDPOINT, or connects to it, and shows what its subscribers want. \
             Prints `+ PREFIX` when a prefix gets its first subscriber and `- PREFIX` when it loses its last one, or \
             with --json {\"event\":\"wanted\",\"prefix\":\"a\",\"peers\":1} and {\"event\":\"unwanted\",…,\"peers\":0}. \
             Bytes that are not printable UTF-8 are written as \\xNN; with --json, prefix_base64 holds the bytes.\n\n\
             With --of it asks a server what is wanted there (docs/OBSERVE.md), and disturbs nothing: each prefix with its number of \
             subscribers, what is done about it (a state, or how many of its topics are produced), and where they are.\n\n\
             Examples:\n  oncue demand tcp://127.0.0.1:8888 --json\n  oncue demand --of tcp://127.0.0.1:8888",
        )
        .args(publisher::options())
        .arg(arg!(--json "Print each change as one line of JSON"))
        .arg(
            arg!(--of "ENDPOINT is a server, such as oncue serve: print what is wanted there now, and by whom, and end")
                .conflicts_with_all(["connect", "peers-max", "peers-per-address-max", "heartbeat", "heartbeat-timeout"]),
        )
        .args(viewer::own_options().map(|option| option.requires("of")))
}

pub(crate) fn run(args: &ArgMatches, stop: &Stop) -> Result<(), Fail> {
    if args.get_flag("of") {
        return of_server(args, stop);
    }
    let in_json = args.get_flag("json");
    let socket = publisher::socket("demand", args, |options| options)?;
    let watch = socket.demand();
    publisher::open(&socket, "demand", args, stop)?;
    say("demand", "this is a publisher that sends nothing: it shows what its subscribers want");
    while let Waited::Ready(event) = stop.wait(watch.next(), None) {
        let (wanted, prefix) = match event? {
            DemandEvent::Wanted(prefix) => (true, prefix),
            DemandEvent::Unwanted(prefix) => (false, prefix),
        };
        let line = match in_json {
            true => json::demand(wanted, &prefix),
            false => output::change(if wanted { "+ " } else { "- " }, &prefix),
        };
        stdio::print(line, stop, None);
    }
    publisher::close_and_say(&socket, "demand", stop);
    Ok(())
}

/// Prints what is wanted of a server, and by whom.
fn of_server(args: &ArgMatches, stop: &Stop) -> Result<(), Fail> {
    if args.get_flag("json") {
        let mut viewer = Viewer::open("demand", args, &[topic::DEMAND], stop)?;
        let Some((_, value)) = viewer.next()? else { return stop.unfinished() };
        // What another version says is not passed on.
        viewer.parse::<Demand>(topic::DEMAND, &value)?;
        stdio::line(value);
        return Ok(());
    }
    let mut viewer = Viewer::open("demand", args, &[topic::DEMAND, topic::PEERS], stop)?;
    let (mut demand, mut peers): (Option<Demand>, Option<Peers>) = (None, None);
    let (demand, peers) = loop {
        if let (Some(demand), Some(peers)) = (&demand, &peers) {
            break (demand, peers);
        }
        let Some((name, value)) = viewer.next()? else { return stop.unfinished() };
        match name == topic::DEMAND {
            true => demand = Some(viewer.parse(&name, &value)?),
            false => peers = Some(viewer.parse(&name, &value)?),
        }
    };
    table(demand, peers).lines().for_each(|line| stdio::line(line.into_bytes()));
    if demand.prefixes_cut {
        say("demand", &format!("there are more prefixes; these are the first {}", demand.prefixes.len()));
    }
    Ok(())
}

fn table(demand: &Demand, peers: &Peers) -> Table {
    let columns = ["PREFIX", "SUBSCRIBERS", "PRODUCED", "WHERE"];
    let mut table = Table::new(
        &columns.map(|name| (name, if name == "SUBSCRIBERS" { Align::Right } else { Align::Left })),
    );
    for wanted in &demand.prefixes {
        let prefix = output::escaped(&bytes(&wanted.prefix, wanted.prefix_base64.as_deref()));
        let prefix = if prefix.is_empty() { "(everything)".to_owned() } else { prefix };
        table.row([prefix, wanted.subscribers.to_string(), produced(wanted, demand), places(wanted, peers)]);
    }
    table
}

/// What is done about a prefix: the state of its topic, or of how many topics that begin with it.
fn produced(wanted: &Wanted, demand: &Demand) -> String {
    let prefix = bytes(&wanted.prefix, wanted.prefix_base64.as_deref());
    let of = |topic: &oncue_observe::schema::Topic| bytes(&topic.topic, topic.topic_base64.as_deref());
    let from = demand.topics.partition_point(|topic| of(topic) < prefix);
    let under = demand.topics[from..].iter().take_while(|topic| of(topic).starts_with(&prefix));
    let under: Vec<_> = under.collect();
    let running =
        under.iter().filter(|topic| matches!(topic.state, State::Running | State::Starting)).count();
    match &under[..] {
        [] => "nothing".to_owned(),
        [one] if of(one) == prefix => one.state.name().to_owned(),
        under => format!("{running} of {}", output::counted(under.len() as u64, "topic")),
    }
}

/// Where its subscribers are; those that are not told are counted.
fn places(wanted: &Wanted, peers: &Peers) -> String {
    let address = |id: &u64| peers.peers.iter().find(|peer| peer.id == *id);
    let mut places: Vec<_> = wanted
        .peers
        .iter()
        .filter_map(address)
        .map(|peer| match &peer.user {
            Some(user) => output::escaped(format!("{user} ({})", peer.address).as_bytes()),
            None => output::escaped(peer.address.as_bytes()),
        })
        .collect();
    let others = wanted.subscribers.saturating_sub(places.len() as u64);
    if others > 0 {
        places.push(output::counted(others, "other"));
    }
    places.join(", ")
}

#[cfg(test)]
mod tests {
    use oncue_observe::schema::{Peer, Topic};

    use super::*;

    #[test]
    fn a_prefix_is_shown_with_what_is_done_about_it_and_where_its_subscribers_are() {
        let wanted = |prefix: &str, peers: &[u64], subscribers| Wanted {
            prefix: prefix.to_owned(),
            subscribers,
            peers: peers.to_vec(),
            ..Wanted::default()
        };
        let topic = |topic: &str, state| Topic { topic: topic.to_owned(), state, ..Topic::default() };
        let demand = Demand {
            time: 0.0,
            prefixes: vec![wanted("", &[1], 1), wanted("n/1", &[1, 2], 30), wanted("x", &[9], 1)],
            prefixes_cut: false,
            topics: vec![topic("n/1", State::Running), topic("n/2", State::Failed)],
            topics_cut: false,
        };
        let peer = |id, address: &str, user: Option<&str>| Peer {
            id,
            address: address.to_owned(),
            user: user.map(str::to_owned),
            ..Peer::default()
        };
        let peers = vec![peer(1, "tcp://10.0.0.1:5", None), peer(2, "ipc", Some("ann"))];
        let peers = Peers { time: 0.0, peers, peers_total: 2, refused: Vec::new(), refused_total: 0 };
        let lines: Vec<_> = table(&demand, &peers).lines().collect();
        assert_eq!(
            lines,
            [
                "PREFIX        SUBSCRIBERS  PRODUCED       WHERE",
                "(everything)            1  1 of 2 topics  tcp://10.0.0.1:5",
                "n/1                    30  running        tcp://10.0.0.1:5, ann (ipc), 28 others",
                "x                       1  nothing        1 other",
            ]
        );
    }
}
