//! Builds libzmq with WebSocket and with CURVE by libsodium, and links it as a shared library.

use std::path::{Path, PathBuf};

fn main() {
    let sodium =
        |name: &str| std::env::var(format!("DEP_SODIUM_{name}")).expect("the dependency builds libsodium");
    let (lib, include) = (sodium("LIB"), sodium("INCLUDE"));
    zeromq_src::Build::new().with_libsodium(Some(zeromq_src::LibLocation::new(&lib, include))).build();

    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let shared = out.join("libzmq.so");
    let mut link = cc::Build::new().cpp(true).get_compiler().to_command();
    link.args(["-shared", "-Wl,--whole-archive"]).arg(out.join("lib").join("libzmq.a"));
    // libsodium is compiled for executables: in a shared library its symbols must stay inside.
    link.args(["-Wl,--no-whole-archive", "-Wl,--exclude-libs,libsodium.a"]);
    link.arg(Path::new(&lib).join("libsodium.a"));
    let linked = link.arg("-lpthread").arg("-o").arg(&shared).status();
    assert!(linked.is_ok_and(|status| status.success()), "the shared library cannot be linked");
    println!("cargo::rustc-env=LIBZMQ={}", shared.display());
    println!("cargo::rerun-if-changed=build.rs");
}
