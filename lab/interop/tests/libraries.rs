//! pyomq, which is another implementation of ZMTP, and zeromq.js, which is another binding of libzmq: messages are exchanged in
//! both directions, under each mechanism, in both roles. Without the library a test is SKIPPED.

use oncue_interop::foreign::Library;
use oncue_interop::secured::{Secrets, We};
use oncue_interop::within_a_minute;

macro_rules! pair {
    ($name:ident: $library:ident, $secrets:expr, $we:ident, our $ours:literal and their $theirs:literal) => {
        #[test]
        fn $name() {
            if Library::$library.is_here() {
                within_a_minute(|| $secrets.check_pair(Library::$library, We::$we, $ours, $theirs));
            }
        }
    };
}

pair!(our_pub_serves_pyomqs_sub: Pyomq, Secrets::curve(), Serve, our "PUB" and their "SUB");
pair!(our_pub_is_a_client_of_pyomqs_sub: Pyomq, Secrets::curve(), Call, our "PUB" and their "SUB");
pair!(our_xpub_serves_pyomqs_xsub: Pyomq, Secrets::curve(), Serve, our "XPUB" and their "XSUB");
pair!(our_xpub_is_a_client_of_pyomqs_xsub: Pyomq, Secrets::curve(), Call, our "XPUB" and their "XSUB");
pair!(our_sub_serves_pyomqs_pub: Pyomq, Secrets::curve(), Serve, our "SUB" and their "PUB");
pair!(our_sub_is_a_client_of_pyomqs_pub: Pyomq, Secrets::curve(), Call, our "SUB" and their "PUB");
pair!(our_xsub_serves_pyomqs_xpub: Pyomq, Secrets::curve(), Serve, our "XSUB" and their "XPUB");
pair!(our_xsub_is_a_client_of_pyomqs_xpub: Pyomq, Secrets::curve(), Call, our "XSUB" and their "XPUB");
pair!(our_xpub_serves_pyomqs_sub_by_plain: Pyomq, Secrets::Plain, Serve, our "XPUB" and their "SUB");
pair!(our_sub_is_a_client_of_pyomqs_xpub_by_plain: Pyomq, Secrets::Plain, Call, our "SUB" and their "XPUB");

pair!(our_pub_serves_the_subscriber_of_zeromq_js: ZeromqJs, Secrets::curve(), Serve, our "PUB" and their "SUB");
pair!(our_xpub_is_a_client_of_the_xsubscriber_of_zeromq_js: ZeromqJs, Secrets::curve(), Call, our "XPUB" and their "XSUB");
pair!(our_sub_is_a_client_of_the_publisher_of_zeromq_js: ZeromqJs, Secrets::curve(), Call, our "SUB" and their "PUB");
pair!(our_xsub_serves_the_xpublisher_of_zeromq_js: ZeromqJs, Secrets::curve(), Serve, our "XSUB" and their "XPUB");
pair!(our_pub_serves_the_subscriber_of_zeromq_js_by_plain: ZeromqJs, Secrets::Plain, Serve, our "PUB" and their "SUB");
pair!(our_sub_is_a_client_of_the_publisher_of_zeromq_js_by_plain: ZeromqJs, Secrets::Plain, Call, our "SUB" and their "PUB");
