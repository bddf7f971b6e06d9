//! A watchdog must notice a thread that hangs.

use super::*;
use crate::permission::Admission;

#[test]
fn a_hung_runner_or_io_thread_does_not_respond() {
    let (hang, go_on) = channel::<()>();
    let go_on = Arc::new(Mutex::new(go_on));
    let hung = |go_on: &Mutex<Receiver<()>>| lock(go_on).recv().unwrap();
    let (runner, io) = (go_on.clone(), go_on);
    let engine = Engine::start().unwrap();
    let options = Options::new().admission(move |request| {
        if request.prefix == b"io" {
            hung(&io);
        }
        Admission::Accept
    });
    let socket = XPub::new(&engine, options).unwrap();
    let endpoint = socket.bind(ENDPOINT).unwrap().to_string();
    let od = OnDemand::on(socket).route("runner").manual(move |change| {
        if let Change::Started(_) = change {
            hung(&runner);
        }
    });
    let od = od.start().unwrap();
    assert!(od.responds_within(PATIENCE));
    let sub = Sub::new(&Engine::start().unwrap(), Options::new()).unwrap();
    sub.connect(&endpoint).unwrap();
    sub.subscribe("runner").unwrap();
    eventually("the runner hangs", || !od.responds_within(ms(20)));
    assert!(od.xpub().responds_within(PATIENCE), "the I/O thread does not");
    hang.send(()).unwrap();
    assert!(od.responds_within(PATIENCE));
    sub.subscribe("io").unwrap();
    eventually("the I/O thread hangs", || !od.xpub().responds_within(ms(20)));
    assert!(!od.responds_within(ms(20)));
    hang.send(()).unwrap();
    assert!(od.responds_within(PATIENCE));
    od.stop();
    assert!(!od.responds_within(ms(20)), "the runner has ended");
}
