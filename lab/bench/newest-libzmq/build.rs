//! Where the dependency on libsodium has built it.

fn main() {
    for (name, of_dependency) in [("SODIUM_INCLUDE", "DEP_SODIUM_INCLUDE"), ("SODIUM_LIB", "DEP_SODIUM_LIB")] {
        let path = std::env::var(of_dependency).expect("the dependency builds libsodium");
        println!("cargo::rustc-env={name}={path}");
    }
}
