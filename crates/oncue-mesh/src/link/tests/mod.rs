//! The link with real sessions on 127.0.0.1.
