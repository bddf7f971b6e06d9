//! Publish/subscribe on cue.
