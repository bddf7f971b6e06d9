//! Prints where the shared library is.

fn main() {
    println!("{}", env!("LIBZMQ"));
}
