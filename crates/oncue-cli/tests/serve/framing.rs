//! Values of any bytes: what a program writes with a length or as JSON, and what is taken off.

use crate::Directory;

/// Python that writes a value with its length.
const PUT: &str = "import struct, sys
def put(value):
    sys.stdout.buffer.write(struct.pack('>I', len(value)) + value)
";

#[test]
fn a_stream_with_lengths_holds_any_bytes() {
    let directory = Directory::new();
    let script = format!("{PUT}for value in [b'a\\nb\\0\\xff', b'', bytes(range(256)) * 4000]: put(value)\n");
    directory.write("values.py", &script);
    let server = directory.serve(
        "[[route]]\ntopic = 'v'\nmode = 'stream'\nframing = 'length'\ncommand = ['python3', 'values.py']\n",
    );
    let subscriber = server.subscriber(&["v"]);
    let every: Vec<u8> = (0..=255).collect();
    for expected in [b"a\nb\0\xff".to_vec(), Vec::new(), every.repeat(4000)] {
        assert!(subscriber.bytes() == expected, "{} bytes", expected.len());
    }
}

#[test]
fn a_shared_program_with_lengths_names_the_topic_before_the_first_tab() {
    let directory = Directory::new();
    let script = format!(
        "{PUT}for line in sys.stdin:\n    topic = line[1:].rstrip().encode()\n    put(b'no tab')\n    \
         put(topic + b'\\t' + b'1\\t2\\n\\xff')\n"
    );
    directory.write("values.py", &script);
    let mut server = directory.serve(
        "[[route]]\ntopic = 'v/{x}'\nmode = 'shared'\nframing = 'length'\ncommand = ['python3', 'values.py']\n",
    );
    let subscriber = server.subscriber(&["v/ä b"]);
    assert_eq!(subscriber.bytes(), b"1\t2\n\xff");
    server.error_with("skipped a line or frame without a tab");
    subscriber.0.subscribe("v/c\td").expect("a subscription");
    server.error_with("refused: it has a control character, and the program reads lines; see framing");
}

#[test]
fn a_length_beyond_the_bound_ends_the_program_with_the_reason() {
    let directory = Directory::new();
    for (mode, topic) in [("stream", "v"), ("shared", "s")] {
        let mut server = directory.serve(&format!(
            "[[route]]\ntopic = '{topic}'\nmode = '{mode}'\nframing = 'length'\nline_bytes_max = 1000\n\
             command = ['sh', '-c', 'echo a line; sleep 60']\n"
        ));
        let _subscriber = server.subscriber(&[topic]);
        let line = server.error_with("announced a value of");
        assert!(
            line.contains(
                ": the program announced a value of 1629514857 bytes, more than 1000; see `line_bytes_max`"
            ),
            "{line}"
        );
    }
}

/// A program that does in JSON what it is told by the name of a topic.
const JSON: &str = r#"import json, sys
def say(**what):
    print(json.dumps(what))
for line in sys.stdin:
    told = json.loads(line)
    if "unwanted" in told:
        print(line.strip(), file=sys.stderr)
    else:
        topic = told["wanted"]
        if topic.startswith("j/bytes"):
            say(topic=topic, base64="/wAK")
        elif topic.startswith("j/object"):
            say(topic=topic, value={"a": [1, 0.5]})
        elif topic.startswith("j/fail"):
            say(topic=topic, value="before")
            say(topic=topic, error="no \"disk\"\u001b")
        elif topic.startswith("j/end"):
            say(topic=topic, value="the last")
            say(topic=topic, end=True)
        else:
            say(topic=topic, valeu=1)
            say(topic=topic, value="told:\n" + line)
"#;

#[test]
fn a_shared_program_speaks_json_about_topics_of_any_text() {
    let directory = Directory::new();
    directory.write("told.py", JSON);
    let mut server = directory.serve(
        "status_prefix = 'state/'\n[[route]]\ntopic = 'j/{x}'\nmode = 'shared'\nframing = 'json'\nbackoff_min = '50ms'\n\
         command = ['python3', 'told.py']\n",
    );
    let text = server.subscriber(&["j/a\"\n\tb"]);
    let expected = concat!("told:\n", r#"{"wanted":"j/a\"\n\tb"}"#, "\n");
    assert_eq!(text.next(), ("j/a\"\n\tb".into(), expected.into()));
    server.error_with("skipped a line that is not as `framing = \"json\"` has it: `valeu` is not a key");
    drop(text);
    assert_eq!(server.subscriber(&["j/bytes"]).bytes(), b"\xff\0\n");
    assert_eq!(server.subscriber(&["j/object"]).value(), r#"{"a": [1, 0.5]}"#);

    let failing = server.subscriber(&["j/fail", "state/j/fail"]);
    let next = || failing.next().1;
    // The library starts it again, which fails again.
    let seen: Vec<String> = (0..7).map(|_| next()).collect();
    let fails = seen.iter().filter(|state| *state == "stale").count();
    assert!(fails >= 1 && seen.iter().filter(|value| *value == "before").count() >= 2, "{seen:?}");
    server.error_with(r#"j/fail: the program says: no "disk"\x1b"#);
    server.error_with(r#"{"unwanted":"j/fail"}"#);
    drop(failing);

    let ending = server.subscriber(&["state/j/end", "j/end"]);
    let mut seen = Vec::new();
    while seen.last().is_none_or(|(_, value)| value != "closed") {
        seen.push(ending.next());
    }
    assert!(seen.contains(&("j/end".into(), "the last".into())), "{seen:?}");
}

#[test]
fn a_stream_speaks_json_and_needs_no_topic() {
    let directory = Directory::new();
    directory.write(
        "told.py",
        "import sys, time\nfor line in sys.argv[1:]:\n    print(line)\n    sys.stderr.write(line + '\\n')\ntime.sleep(60)\n",
    );
    let mut server = directory.serve(
        r#"
        [[route]]
        topic = 'j/{x:word}'
        mode = 'stream'
        framing = 'json'
        backoff_min = '10s'
        command = ['python3', 'told.py', '{{"value":"1"}}', '{{"topic":"other","value":1}}', '{{"topic":"j/a","value":2}}',
                   '{{"value":3}}', '{{"error":"gone"}}']
        [[route]]
        topic = 'end'
        mode = 'stream'
        framing = 'json'
        command = ['python3', 'told.py', '{{"value":"last"}}', '{{"end":true}}']
        "#,
    );
    let subscriber = server.subscriber(&["j/a"]);
    assert_eq!([subscriber.value(), subscriber.value(), subscriber.value()], ["1", "2", "3"]);
    server.error_with("j/a: skipped a value of another topic");
    server.error_with("j/a: the program says: gone");
    assert_eq!(server.program.line(), "+ j/a");
    assert_eq!(server.program.line(), "- j/a");
    let ending = server.subscriber(&["end"]);
    assert_eq!(ending.value(), "last");
    assert_eq!(server.program.line(), "+ end");
    assert_eq!(server.program.line(), "- end", "it has ended, though it is wanted");
}

#[test]
fn the_newline_at_the_end_stays_where_it_is_wanted() {
    let directory = Directory::new();
    directory.write("file", "content\n");
    let server = directory.serve(
        "[[route]]\ntopic = 'run'\ncommand = ['echo', 'value']\nevery = '50ms'\ntrim = false\n\
         [[route]]\ntopic = 'file'\nfile = 'file'\nmode = 'content'\ntrim = false\n",
    );
    assert_eq!(server.subscriber(&["run"]).value(), "value\n");
    assert_eq!(server.subscriber(&["file"]).value(), "content\n");
}
