//! A global allocator that counts. It does not know the workloads.

// `GlobalAlloc` is an unsafe trait, and there is no other way to see every allocation of a program. Each method passes
// its arguments on to the system's allocator unchanged, so its caller's guarantees are the required ones.
#![allow(unsafe_code, reason = "the counting allocator of an unpublished program")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering};

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static BYTES: AtomicU64 = AtomicU64::new(0);

#[global_allocator]
static COUNTING: Counting = Counting;

struct Counting;

/// The number of allocations, reallocations included, and the bytes that they requested in addition to what they had. Freed
/// memory is not subtracted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counts {
    pub(crate) allocations: u64,
    pub(crate) bytes: u64,
}

/// What the whole process allocates while `f` runs.
pub(crate) fn during(f: impl FnOnce()) -> Counts {
    let before = now();
    f();
    let after = now();
    Counts { allocations: after.allocations - before.allocations, bytes: after.bytes - before.bytes }
}

fn now() -> Counts {
    Counts { allocations: ALLOCATIONS.load(Ordering::SeqCst), bytes: BYTES.load(Ordering::SeqCst) }
}

fn note(bytes: usize) {
    ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
    BYTES.fetch_add(bytes as u64, Ordering::Relaxed);
}

// SAFETY: every method forwards to the system's allocator, and the counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        // SAFETY: the caller's guarantees, passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        // SAFETY: the caller's guarantees, passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(size.saturating_sub(layout.size()));
        // SAFETY: the caller's guarantees, passed on; `at` was allocated by the system's allocator.
        unsafe { System.realloc(at, layout, size) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller's guarantees, passed on; `at` was allocated by the system's allocator.
        unsafe { System.dealloc(at, layout) }
    }
}
