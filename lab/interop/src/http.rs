//! A request by HTTP, for tests.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::PATIENCE;

/// The whole answer of `GET target` at HOST:PORT, fields included. The answer must have an end.
pub fn get(place: &str, target: &str) -> String {
    let mut stream = TcpStream::connect(place).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    write!(stream, "GET {target} HTTP/1.1\r\nHost: {place}\r\n\r\n").expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer in time");
    answer
}

/// HOST:PORT of the first URL of a line.
pub fn place(line: &str) -> &str {
    let url = line.split("://").nth(1).expect("a URL");
    url.split('/').next().expect("a place").trim()
}
