//! A relay between two processes that lets so many bytes of one side pass: what that side sends after them is lost, its end is not.

use std::io::{Read, Write, copy};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

/// Whose bytes are bounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bounded {
    /// Those of the side that connects to the relay.
    Near,
    /// Those of the side that the relay connects to.
    Far,
}

/// Passes `connections` connections on to the address `far`, one after the other or at the same time. Of the first one only
/// `most` bytes of one side pass; everything else passes. Returns the endpoint, and how many of these bytes have passed: told
/// when that is all, and when the connection has ended.
///
/// # Panics
/// Without a free port.
pub fn relay(far: String, connections: usize, bounded: Bounded, most: usize) -> (String, Receiver<usize>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let at = format!("tcp://{}", listener.local_addr().expect("an address"));
    let (tell, told) = channel();
    thread::spawn(move || {
        let mut first = Some((most, tell));
        for near in listener.incoming().flatten().take(connections) {
            let bound = first.take();
            let Ok(far) = TcpStream::connect(&far) else { continue };
            let clone = |stream: &TcpStream| stream.try_clone().expect("a clone");
            let (from, to) = match bounded {
                Bounded::Near => (clone(&near), clone(&far)),
                Bounded::Far => (clone(&far), clone(&near)),
            };
            let (mut back_from, mut back_to) = match bounded {
                Bounded::Near => (far, near),
                Bounded::Far => (near, far),
            };
            thread::spawn(move || {
                // The end of either side ends it.
                let _ = copy(&mut back_from, &mut back_to);
                let _ = back_to.shutdown(Shutdown::Both);
            });
            thread::spawn(move || pass(from, to, bound));
        }
    });
    (at, told)
}

/// Passes on what one side sends, up to a number of bytes if there is one.
fn pass(mut from: TcpStream, mut to: TcpStream, bound: Option<(usize, Sender<usize>)>) {
    let most = bound.as_ref().map_or(usize::MAX, |(most, _)| *most);
    let tell = |passed| {
        if let Some((_, tell)) = &bound {
            // An error means that nobody listens: the test has what it waited for.
            let _ = tell.send(passed);
        }
    };
    let (mut passed, mut buffer) = (0, [0; 4096]);
    while let Ok(n @ 1..) = from.read(&mut buffer) {
        let n = n.min(most - passed);
        if to.write_all(&buffer[..n]).is_err() {
            break;
        }
        passed += n;
        if passed == most {
            tell(passed);
            while let Ok(1..) = from.read(&mut buffer) {}
            break;
        }
    }
    tell(passed);
    let _ = to.shutdown(Shutdown::Both);
}
