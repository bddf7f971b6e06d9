//! The keys of the configs of `oncue serve` and `oncue mesh`, in one table: what each may be, what holds without it, where it may
//! stand, and what it is for. The reader, the help of both and the tables of docs/SERVE.md and docs/MESH.md all come from it.

use super::kind::Kind::{
    Bytes, Choice, Count, Flag, FlagOrTable, Mode, Period, PeriodOrOff, Seconds, Size, Table, Tables, Text,
    TextOrTexts, Texts, TextsOrTable, Time, Variables,
};
use super::kind::Without::{Is, Required, Said};
use super::kind::{Kind, Without};

/// A set of places where a key may stand, one bit each. A route is one of five places, by where its values come from.
pub(super) type Places = u32;

/// The config of a server, outside of tables.
pub(super) const TOP: Places = 1;
/// A route with a run of a program for each value.
pub(super) const RUNS: Places = 1 << 1;
/// A route with one program for each topic.
pub(super) const STREAM: Places = 1 << 2;
/// A route with one program for all its topics.
pub(super) const SHARED: Places = 1 << 3;
/// A route with the lines appended to a file.
pub(super) const LINES: Places = 1 << 4;
/// A route with the content of a file.
pub(super) const CONTENT: Places = 1 << 5;
/// The table `catalogue` of a route.
pub(super) const LISTING: Places = 1 << 6;
/// The table `keep_last` of a route.
pub(super) const LAST: Places = 1 << 7;
pub(super) const ALLOW: Places = 1 << 8;
pub(super) const DENY: Places = 1 << 9;
/// The table `curve`.
pub(super) const CURVE: Places = 1 << 10;
/// The table `plain`.
pub(super) const PLAIN: Places = 1 << 11;
/// The table `log`.
pub(super) const LOG: Places = 1 << 12;
/// The config of a node of a mesh, outside of tables.
pub(super) const NODE: Places = 1 << 13;
/// The table `log` of a node.
pub(super) const NODE_LOG: Places = 1 << 14;
/// The table `mesh` of a server.
pub(super) const MESH: Places = 1 << 15;
/// The table `link` of a site that dials a router.
pub(super) const EDGE: Places = 1 << 16;
/// The table `link` of a site that others dial.
pub(super) const ROUTER: Places = 1 << 17;
/// The table `link` of a site of a small mesh.
pub(super) const PEER: Places = 1 << 18;
/// The table `quotas`.
pub(super) const QUOTAS: Places = 1 << 19;
/// The tables `export` and `import`.
pub(super) const BORDER: Places = 1 << 20;
/// The table of one site in them.
pub(super) const FOREIGN: Places = 1 << 21;

pub(super) const PROGRAM: Places = RUNS | STREAM | SHARED;
pub(super) const FILE: Places = LINES | CONTENT;
pub(super) const ROUTE: Places = PROGRAM | FILE;
pub(super) const RULE: Places = ALLOW | DENY;
pub(super) const LINK: Places = EDGE | ROUTER | PEER;
/// Both configs, outside of tables.
pub(super) const EITHER: Places = TOP | NODE;
/// What a node and a server have as sites.
pub(super) const SITE: Places = NODE | MESH;

/// The tables of a config, each with the places that it may be.
const TABLES: [Places; 15] =
    [TOP, ROUTE, LISTING, LAST, RULE, CURVE, PLAIN, LOG, NODE, NODE_LOG, MESH, LINK, QUOTAS, BORDER, FOREIGN];

/// Sets of places as messages call them, larger ones first.
const NAMES: [(Places, &str); 14] = [
    (PROGRAM, "`command`"),
    (FILE, "`file`"),
    (RUNS, "`command` without `mode`"),
    (STREAM, "mode = \"stream\""),
    (SHARED, "mode = \"shared\""),
    (LINES, "mode = \"lines\""),
    (CONTENT, "mode = \"content\""),
    (ALLOW, "`allow`"),
    (DENY, "`deny`"),
    (EDGE, "role = \"edge\""),
    (ROUTER, "role = \"router\""),
    (PEER, "role = \"peer\""),
    (NODE, "`oncue mesh`"),
    (MESH, "a server"),
];

/// The most feeds, processes, topics, messages or peers that a config may allow.
const COUNT_MAX: u64 = 1 << 24;
/// The largest number of a user or a group.
const ID_MAX: u64 = u32::MAX as u64 - 1;
/// The longest line, output or queue that a config may allow: 1 GiB.
const BYTES_MAX: u64 = 1 << 30;
/// The least and the most memory that a program may be bound to. With less than a MiB nothing can be executed.
const MEMORY: (u64, u64) = (1 << 20, 1 << 40);
/// The fewest files that a program may be bound to: standard input, output and error, and one to load its libraries.
const FILES_MIN: u64 = 4;

/// The policies for full queues.
const POLICIES: &[&str] = &["drop-newest", "drop-oldest", "latest", "disconnect"];

/// A key.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) places: Places,
    pub(super) kind: Kind,
    pub(super) without: Without,
    /// What it is for, in a line.
    pub(super) doc: &'static str,
}

/// Every key. One that differs from place to place has several entries, which share no place.
#[rustfmt::skip]
pub(super) const KEYS: &[Key] = &[
    key("bind", TOP, TextOrTexts, Said("see `connect`"),
        "the endpoints where subscribers connect, such as \"tcp://127.0.0.1:8888\"; \"fd://NAME\" is a socket that was passed"),
    key("connect", TOP, TextOrTexts, Said("see `bind`"),
        "the endpoints of subscribers that bind; `bind` or `connect` is required"),
    key("grace", TOP, Time, Is("\"0s\""),
        "how long a topic is still produced after its last subscriber has gone"),
    key("feeds_max", TOP, Count(1, COUNT_MAX), Is("65_536"),
        "the most topics produced at the same time"),
    key("starts_per_minute_max", TOP, Count(1, COUNT_MAX), Is("600_000"),
        "the most topics that one user, or without users one address, starts in a minute; further subscriptions wait"),
    key("processes_max", TOP, Count(1, COUNT_MAX), Is("256"),
        "the most programs that run at the same time; others wait their turn"),
    key("catalogue_topics_max", TOP, Count(1, COUNT_MAX), Is("1_048_576"),
        "the most topics in all catalogues together"),
    key("route", TOP, Tables, Said("required"),
        "a route; each begins with [[route]]"),
    key("rule", EITHER, Tables, Said("everything is allowed"),
        "a rule about who may subscribe to what; each begins with [[rule]]"),
    key("curve", EITHER, Table, Said("no encryption"),
        "encrypts all connections with CURVE; begins with [curve]"),
    key("plain", EITHER, Table, Said("nobody is asked"),
        "asks subscribers for user and password (PLAIN), without encryption; begins with [plain]"),
    key("log", TOP, Table, Said("text"),
        "how the lines on standard error are written: log = { format = \"json\", demand = false, time = true }"),
    key("status_prefix", TOP, Text, Said("not published"),
        "publishes the state of each topic (`active`, `stale`, `closed`, `unserved`) on this prefix followed by the topic"),
    key("observe", EITHER, Text, Is("\"$oncue/\""),
        "the prefix of the topics that tell about the server itself (docs/OBSERVE.md), or \"off\"; they are outside of shorter prefixes"),
    key("mesh", TOP, Table, Said("no mesh"),
        "makes this server a site of a mesh (docs/MESH.md), which gives its topics to other sites; begins with [mesh]"),
    key("http", TOP, Text, Said("no page"),
        "where the page about the server is, as in \"127.0.0.1:9180\"; the topics are there, too, by WebSocket and as `/sub/TOPIC`"),
    key("http_token", TOP, Text, Said("none"),
        "what the URL of the page must have as `?token=`; required unless `http` is a loopback address"),
    key("origins", TOP, TextOrTexts, Said("those of the same host and port"),
        "the origins of other pages that may subscribe by `ws` endpoints and `http`, as in \"https://example.org\""),
    key("tls_certificate", TOP, Text, Said("none"),
        "the file with the certificate, and those above it, in PEM: for `wss` endpoints, and then `http` is https"),
    key("tls_key", TOP, Text, Said("none"),
        "the file with the key of the certificate, in PEM"),
    key("metrics", EITHER, Text, Said("not served"),
        "where `/metrics`, `/healthz` and `/readyz` are, as in \"127.0.0.1:9464\" (docs/METRICS.md)"),
    key("send_hwm", EITHER, Count(0, COUNT_MAX), Is("1000"),
        "messages queued for one subscriber, which misses further ones; 0 means no bound, as in ZeroMQ"),
    key("queue_bytes_max", EITHER, Bytes(BYTES_MAX), Is("67_108_864"),
        "bytes queued for one subscriber, which misses further messages"),
    key("on_full", EITHER, Choice(POLICIES), Is("\"drop-newest\""),
        "what a subscriber misses whose queue is full: the new message; the oldest; all but the newest of each topic; all"),
    key("evict_after", EITHER, Period, Said("never"),
        "disconnects a subscriber whose queue has been full for this long"),
    key("heartbeat", EITHER, PeriodOrOff, Said("`\"5s\"`, or a third of `heartbeat_timeout` if that is shorter"),
        "the time between two PINGs to each subscriber"),
    key("heartbeat_timeout", EITHER, Period, Said("three times `heartbeat`"),
        "disconnects a subscriber that has sent nothing, and taken nothing of its queue, for this long"),
    key("peers_max", EITHER, Count(1, COUNT_MAX), Is("65_536"),
        "the most subscribers at the same time, those in their handshake included"),
    key("peers_per_address_max", EITHER, Count(1, COUNT_MAX), Said("no bound"),
        "the most subscribers of one address (IPv6: of one /64 network); those by `ipc` are not counted"),
    key("handshakes_max", EITHER, Count(1, COUNT_MAX), Is("8192"),
        "the most handshakes in flight; beyond it the oldest gives way, of the address that has the most"),
    key("message_bytes_max", EITHER, Bytes(BYTES_MAX), Said("128 KiB"),
        "the largest message of a subscriber, which is disconnected for a larger one; a prefix may be as long as `prefix_length_max`"),
    key("prefix_length_max", EITHER, Count(0, COUNT_MAX), Is("65_526"),
        "the longest prefix, in bytes, to which a subscriber may subscribe"),
    key("prefixes_max", EITHER, Count(1, COUNT_MAX), Is("4_000_000"),
        "the most subscriptions of one subscriber"),
    key("prefix_bytes_max", EITHER, Bytes(1 << 40), Is("268_435_456"),
        "the most bytes of the prefixes of one subscriber together"),
    key("prefixes_per_user_max", EITHER, Count(1, COUNT_MAX), Is("16_000_000"),
        "the most subscriptions of one user, over all connections; without users, of one address"),
    key("prefix_bytes_per_user_max", EITHER, Bytes(1 << 40), Is("1_073_741_824"),
        "the most bytes of the prefixes of one user together; without users, of one address"),
    key("changes_per_second_max", EITHER, Count(1, COUNT_MAX), Is("100_000"),
        "how many subscriptions and cancellations of one subscriber are taken in a second, in the long run; `prefixes_max` may come at once"),
    key("last_values_bytes_max", EITHER, Bytes(1 << 40), Is("67_108_864"),
        "the most bytes of all last values together, see `keep_last`"),
    key("ipc_mode", EITHER, Mode, Said("by the umask"),
        "the permissions of the files of `ipc` endpoints, such as 0o660; a process that may write to the file may subscribe"),
    key("ipc_user", EITHER, Count(0, ID_MAX), Said("its own"),
        "the number of the user to whom these files belong"),
    key("ipc_group", EITHER, Count(0, ID_MAX), Said("its own"),
        "the number of the group to which these files belong"),
    key("ip_versions", EITHER, Choice(&["both", "4", "6"]), Is("\"both\""),
        "the versions of IP that are used; with \"6\" `*` is every IPv6 address, and `[::]` accepts no IPv4"),
    key("bind_to_device", EITHER, Text, Said("any"),
        "the network device that is used alone, such as \"eth0\""),
    key("type_of_service", EITHER, Count(0, 255), Said("the system's"),
        "the class of the traffic in IP headers, such as 0xB8 for expedited forwarding"),
    key("socket_priority", EITHER, Count(0, ID_MAX), Said("that of the class"),
        "the priority in the queues of this machine; one above 6 needs CAP_NET_ADMIN"),
    key("listen_backlog", EITHER, Count(0, COUNT_MAX), Is("4096"),
        "the most connections that wait at each endpoint to be accepted; the system caps it"),
    key("handshake_timeout", EITHER, Time, Is("\"30s\""),
        "how long a subscriber may take for its handshake; zero means no limit"),
    key("connect_timeout", EITHER, Time, Said("that of the handshake"),
        "how long making a connection by `connect` may take; zero means no limit"),
    key("send_buffer", EITHER, Bytes(BYTES_MAX), Said("the system's"),
        "about how many bytes the system buffers for one subscriber"),
    key("tcp_keepalive", EITHER, Flag, Said("the system's"),
        "whether the system probes idle TCP connections; also if one of the next three is set"),
    key("tcp_keepalive_idle", EITHER, Period, Said("the system's"),
        "the time without traffic before the first probe, in whole seconds"),
    key("tcp_keepalive_interval", EITHER, Period, Said("the system's"),
        "the time between two probes, in whole seconds"),
    key("tcp_keepalive_count", EITHER, Count(1, 127), Said("the system's"),
        "after how many probes without an answer a connection ends"),
    key("tcp_user_timeout", EITHER, Period, Said("the system's"),
        "after how long without an acknowledgement a TCP connection ends"),
    key("socks_proxy", EITHER, Text, Said("none"),
        "the SOCKS5 proxy for `connect`, as \"HOST:PORT\"; it looks up the names of hosts"),
    key("socks_username", EITHER, Text, Said("none"),
        "the user name for the proxy, if it asks for one"),
    key("socks_password", EITHER, Text, Said("none"),
        "the password for the proxy"),

    key("topic", ROUTE, Text, Required("\"prices/{symbol}\""),
        "the topics of the route; `{name}`, `{name:int}`, `{name:word}` and `{name:/regex/}` are parameters"),
    key("grace", ROUTE, Time, Said("that of the config"),
        "how long a topic is still produced after its last subscriber has gone"),
    key("min_run", ROUTE, Time, Is("\"0s\""),
        "how long a topic is produced at least"),
    key("min_interval", ROUTE, Time, Is("\"0s\""),
        "the least time between two values of a topic; of values that come sooner the newest is sent"),
    key("feeds_max", ROUTE & !SHARED, Count(1, COUNT_MAX), Is("1000"),
        "the most topics of the route produced at the same time"),
    key("keep_last", ROUTE, FlagOrTable, Is("false"),
        "whether a new subscriber gets the last value of a topic at once; a table keeps it within limits"),
    key("on_full", ROUTE, Choice(POLICIES), Said("that of the config"),
        "as outside of routes; messages that are \"drop-oldest\" or \"latest\" make room for those of other routes"),
    key("fresh_for", RUNS | STREAM, Period, Said("no time"),
        "no program runs while the last value is younger than this; it is kept that long, wanted or not"),
    key("once", RUNS | STREAM, Flag, Is("false"),
        "whether a topic has one value and then rests: until it is older than `fresh_for`, without it until nobody wants it"),
    key("frames", ROUTE, Texts, Is("[\"{topic}\", \"{value}\"]"),
        "the frames of a message; `{count}` is its number, as 8 bytes, the lowest first; parameters may stand there too"),
    key("catalogue", ROUTE, TextsOrTable, Is("[]"),
        "the topics that a subscription to the beginning of a topic starts; a table names a program that lists them"),

    key("command", PROGRAM | LISTING, Texts, Required("[\"program\", \"argument\"]"),
        "the program and its arguments; in a route `{name}` is the value of a parameter, `{{` and `}}` are braces"),
    key("every", RUNS, Period, Required("\"1s\""),
        "runs the program once for each value, which is its whole output; see `trim`"),
    key("mode", STREAM | SHARED, Choice(&["stream", "shared"]), Said("see `every`"),
        "\"stream\": one program for each topic, whose lines are the values; \"shared\": one program for the route"),
    key("every", LISTING, Period, Required("\"1m\""),
        "how often the program lists the topics, one a line"),
    key("timeout", RUNS | LISTING, Time, Is("\"1m\""),
        "the longest run"),
    key("restart", STREAM | SHARED, Choice(&["always", "failure", "never"]), Is("\"failure\""),
        "after which ends the program is started again"),
    key("backoff_min", PROGRAM, Period, Is("\"200ms\""),
        "the pause after a failure, doubled with each that follows; a program with `every` pauses that long at least"),
    key("backoff_max", PROGRAM, Period, Is("\"30s\""),
        "the longest pause after a failure; it is never shorter than `backoff_min`"),
    key("kill_after", PROGRAM | LISTING, Time, Is("\"2s\""),
        "the time between TERM and KILL when the program has to end"),
    key("stop_after", SHARED, Time, Is("\"1s\""),
        "the time between the end of the program's input and TERM when the program has to end"),
    key("idle", SHARED, Time, Is("\"0s\""),
        "how long the program still runs after its last topic, such as \"1m\" for a model that loads slowly"),
    key("framing", STREAM | SHARED, Choice(&["lines", "length", "json"]), Is("\"lines\""),
        "how the output is cut into values: see below"),
    key("allow_dash", PROGRAM, Flag, Is("false"),
        "whether the value of a parameter may begin an argument with a dash"),
    key("cwd", PROGRAM | LISTING, Text, Said("that of the config"),
        "the directory where the program runs"),
    key("env", PROGRAM | LISTING, Variables, Is("{}"),
        "variables added to the environment of `oncue`"),
    key("clean_environment", PROGRAM | LISTING, Flag, Is("false"),
        "whether the program gets only PATH, HOME, LANG and TZ of the environment of `oncue`, beside `env` and what `oncue` sets"),
    key("user", PROGRAM, Text, Said("that of `oncue`"),
        "the user as whom the program runs: \"NAME\", \"NAME:GROUP\", or their numbers; needs an `oncue` that runs as root"),
    key("user", LISTING, Text, Said("that of the route's program"),
        "the user as whom the program runs: \"NAME\", \"NAME:GROUP\", or their numbers; needs an `oncue` that runs as root"),
    key("memory_max", PROGRAM | LISTING, Size(MEMORY.0, MEMORY.1), Said("no bound"),
        "the most address space (RLIMIT_AS) of each process of the program"),
    key("cpu_max", PROGRAM | LISTING, Seconds, Said("no bound"),
        "the most processor time (RLIMIT_CPU) of each process of the program; one with more gets XCPU, and KILL a second later"),
    key("files_max", PROGRAM | LISTING, Count(FILES_MIN, COUNT_MAX), Said("that of `oncue` at its start"),
        "the most files (RLIMIT_NOFILE) that each process of the program has open"),
    key("new_privileges", PROGRAM | LISTING, Flag, Is("false"),
        "whether the program may gain privileges by what it executes, as sudo needs it"),
    key("feeds_max", SHARED, Count(1, COUNT_MAX), Said("no bound"),
        "the most topics of the route produced at the same time"),

    key("file", FILE, Text, Required("\"logs/{name}.log\""),
        "the path of the file, with parameters as in `command`"),
    key("mode", FILE, Choice(&["lines", "content"]), Is("\"lines\""),
        "\"lines\": each line appended from now on, as `tail -F`; \"content\": the whole file, at once and on each change"),
    key("every", FILE, Period, Is("\"250ms\""),
        "how often the file is looked at"),
    key("line_bytes_max", STREAM | SHARED, Bytes(BYTES_MAX), Is("1_048_576"),
        "a longer line is skipped, and logged; a longer value of framing = \"length\" ends the program"),
    key("line_bytes_max", LINES, Bytes(BYTES_MAX), Is("1_048_576"),
        "a longer line is skipped, and logged"),
    key("trim", RUNS | CONTENT, Flag, Is("true"),
        "whether one newline at the end of a value is removed"),
    key("output_bytes_max", RUNS | CONTENT | LISTING, Bytes(BYTES_MAX), Is("16_777_216"),
        "a run or a file with more has failed"),

    key("age_max", LAST, Time, Said("no bound"),
        "an older value is not sent to a new subscriber"),
    key("bytes_max", LAST, Bytes(BYTES_MAX), Said("no bound"),
        "the most bytes of the last values of the route"),
    key("outlive", LAST, Flag, Is("false"),
        "whether a last value is kept when nobody wants its topic any more"),

    key("allow", ALLOW, TextOrTexts, Said("see `deny`"),
        "the prefixes of the topics that the rule allows"),
    key("deny", DENY, TextOrTexts, Said("see `allow`"),
        "the prefixes of the topics that the rule denies; `allow` or `deny` is required"),
    key("from", RULE, TextOrTexts, Is("[]"),
        "the subscribers to which the rule applies, such as \"10.0.0.0/8\", \"::1\", \"ipc\", \"user:ann\" or \"key:…\" (a public key); by default to all"),
    key("secret_key_file", CURVE, Text, Said("with `server` alone: a new key"),
        "this side's certificate with the secret key, as `oncue keygen` writes it"),
    key("clients", CURVE, Text, Said("see `server`"),
        "as the server: the directory of the public certificates (NAME.key) of those who are let in, which is read again when it changes; or \"any\""),
    key("server", CURVE, Text, Said("see `clients`"),
        "as the client, where subscribers are the servers: the public key to trust, or a file with it"),
    key("users", PLAIN, Text, Required("\"users\""),
        "a file with a line NAME:HASH for each user, as `oncue passwd` writes it; it is read again when it changes"),
    key("format", LOG | NODE_LOG, Choice(&["text", "json"]), Is("\"text\""),
        "\"json\": each line is an object with `level`, `message`, and `time`, `event`, `topic`, `route`, `program`, `reason`, `site` where they apply"),
    key("demand", LOG, Flag, Is("false"),
        "whether the log has a line for each topic that begins and ends to be produced, as standard output has"),
    key("time", LOG | NODE_LOG, Flag, Said("with \"json\" alone"),
        "whether each line has the time, as in RFC 3339; systemd's journal has it anyway"),
    key("status", DENY, Text, Said("that the publisher does not allow it"),
        "the reason that a denied subscriber is told, if it understands it, as `oncue sub` does"),

    key("site", SITE, Text, Required("\"paris\""),
        "the name of this site: 1 to 64 of A-Z a-z 0-9 - _ . ; of two processes with one name in a mesh the older one ends"),
    key("mesh", SITE, Text, Is("\"oncue\""),
        "the name of the mesh, with the same characters; sites of other meshes on the same routers neither see nor hear it"),
    key("publishers", NODE, TextOrTexts, Is("[]"),
        "the endpoints of publishers of this site that bind, such as those of `oncue serve`"),
    key("publishers_bind", NODE, TextOrTexts, Is("[]"),
        "the endpoints where publishers of this site connect"),
    key("subscribers", NODE, TextOrTexts, Is("[]"),
        "the endpoints where subscribers of this site connect; they get what all sites publish"),
    key("subscribers", MESH, TextOrTexts, Is("[]"),
        "the endpoints where subscribers of this site connect that get what all sites publish; at those of `bind` they get this server's topics alone"),
    key("keep_last", SITE, Flag, Is("true"),
        "whether the newest value of each topic is kept while it is wanted, for sites and subscribers that come later"),
    key("link", SITE, Table, Required("{ role = \"edge\", routers = \"tcp/10.0.0.1:7447\" }"),
        "how this site is linked with others; begins with [link], in a server with [mesh.link]"),
    key("quotas", SITE, Table, Said("see there"),
        "what one other site may cause here; begins with [quotas], in a server with [mesh.quotas]"),
    key("export", SITE, Table, Said("every topic"),
        "which topics other sites may have from here; begins with [export], in a server with [mesh.export]"),
    key("import", SITE, Table, Said("every topic"),
        "which topics are taken from other sites; begins with [import], in a server with [mesh.import]"),
    key("log", NODE, Table, Said("text"),
        "how the lines on standard error are written: log = { format = \"json\", time = true }"),

    key("role", LINK, Choice(&["edge", "router", "peer"]), Required("\"edge\""),
        "\"edge\": it dials a router; \"router\": others dial it, and it passes on what is between them; \"peer\": all sites are linked with each other"),
    key("routers", EDGE, TextOrTexts, Required("\"tcp/10.0.0.1:7447\""),
        "the endpoints of one or two routers: it dials the first, and the other one if that fails"),
    key("listen", ROUTER, TextOrTexts, Required("\"tcp/0.0.0.0:7447\""),
        "the endpoints where edges and other routers dial it"),
    key("parent", ROUTER, Text, Said("none: it is the root"),
        "the endpoint of the router above it; routers form a tree"),
    key("sites", PEER, Variables, Required("{ paris = \"tcp/10.0.0.1:7447\", tokyo = \"tcp/10.0.0.2:7447\" }"),
        "all sites with the endpoint of each, this one too: the same at all of them"),
    key("listen", PEER, Text, Said("its endpoint in `sites`"),
        "where it listens, if others dial another address, as behind a translation of addresses"),
    key("authority", LINK, Text, Said("no TLS"),
        "the file with the certificate of the authority that signed those of all sites, in PEM; with it, endpoints are \"tls/HOST:PORT\""),
    key("certificate", LINK, Text, Said("no TLS"),
        "the file with the certificate of this site, in PEM: its common name is that of the site, and it must name the host that others dial"),
    key("key", LINK, Text, Said("no TLS"),
        "the file with the key of the certificate, in PEM"),
    key("names", ROUTER, TextOrTexts, Said("nobody"),
        "with TLS: the sites that may dial this router, each in the name of its certificate alone; nobody hears others"),
    key("router_names", ROUTER, TextOrTexts, Said("no router"),
        "with TLS: the routers that are linked with this one, its parent and those that dial it; what they pass on is believed"),
    key("heartbeat", LINK, Period, Is("\"500ms\""),
        "how often this site says that it lives, and what the state of its demand is"),
    key("timeout", LINK, Period, Is("\"2s\""),
        "how long another site may be silent until its demand is dropped: at least two heartbeats, and from \"100ms\" to \"1h\""),

    key("sites_max", QUOTAS, Count(1, COUNT_MAX), Is("256"),
        "the most other sites at the same time; further ones are not heard"),
    key("prefixes_max", QUOTAS, Count(1, COUNT_MAX), Is("1_000_000"),
        "the most prefixes that one site may want from here; further ones are refused"),
    key("prefix_bytes_max", QUOTAS, Bytes(1 << 40), Is("67_108_864"),
        "the most bytes of these prefixes together"),
    key("queue_messages_max", QUOTAS, Count(1, COUNT_MAX), Is("100_000"),
        "the messages that wait to be sent to one site, which misses further ones"),
    key("queue_bytes_max", QUOTAS, Bytes(BYTES_MAX), Is("67_108_864"),
        "the bytes of these messages together"),
    key("message_bytes_max", QUOTAS, Bytes(BYTES_MAX), Is("67_108_864"),
        "the largest message that is sent to a site or taken from one"),

    key("allow", BORDER | FOREIGN, TextOrTexts, Is("\"\""),
        "the beginnings of topics that may pass; of all that a topic begins with, the longest decides"),
    key("deny", BORDER | FOREIGN, TextOrTexts, Is("[]"),
        "the beginnings of topics that may not pass, also if they are in `allow`"),
    key("sites", BORDER, Table, Said("none"),
        "lists for single sites, in place of those above, as in [export.sites.tokyo]"),
];

const fn key(name: &'static str, places: Places, kind: Kind, without: Without, doc: &'static str) -> Key {
    Key { name, places, kind, without, doc }
}

/// The key of this name at this place; where it is not known which of several it is, the first.
pub(super) fn find(name: &str, places: Places) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name && key.places & places != 0)
}

/// The keys that the kind of table may have which this place is.
pub(super) fn of_table(places: Places) -> impl Iterator<Item = &'static Key> + Clone {
    let table = TABLES.into_iter().find(|table| table & places != 0).unwrap_or_default();
    KEYS.iter().filter(move |key| key.places & table != 0)
}

/// The places that a key of this name has in the same kind of table, in words; None if there is no such key.
pub(super) fn elsewhere(name: &str, places: Places) -> Option<String> {
    let all = of_table(places).filter(|key| key.name == name).fold(0, |all, key| all | key.places);
    (all != 0).then(|| named(all))
}

/// A set of places in words.
pub(super) fn named(mut places: Places) -> String {
    let mut names = Vec::new();
    for (set, name) in NAMES {
        if places & set == set {
            names.push(name);
            places &= !set;
        }
    }
    names.join(" or ")
}
