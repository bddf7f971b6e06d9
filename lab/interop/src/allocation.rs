//! A global allocator that counts the allocated bytes. A test program enables it with
//! `#[global_allocator] static ALLOCATED: Counting = Counting;`.

// `GlobalAlloc` is an unsafe trait, and there is no other way to see every allocation of a program. Each method passes
// its arguments on to the system's allocator unchanged, so its caller's guarantees are the required ones.
#![allow(unsafe_code, reason = "the counting allocator of an unpublished package")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering};

static ALLOCATED: AtomicU64 = AtomicU64::new(0);

/// The system's allocator, with a counter.
pub struct Counting;

/// The bytes that are allocated and not freed, if [`Counting`] is the global allocator.
pub fn bytes_allocated() -> u64 {
    ALLOCATED.load(Ordering::SeqCst)
}

fn note(more: usize, less: usize) {
    // The sum is correct in any order of the threads' changes; it wraps when a part is subtracted before it is added.
    ALLOCATED.fetch_add((more as u64).wrapping_sub(less as u64), Ordering::Relaxed);
}

// SAFETY: every method forwards to the system's allocator, and the counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size(), 0);
        // SAFETY: the caller's guarantees, passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note(layout.size(), 0);
        // SAFETY: the caller's guarantees, passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(size, layout.size());
        // SAFETY: the caller's guarantees, passed on; `at` was allocated by the system's allocator.
        unsafe { System.realloc(at, layout, size) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        note(0, layout.size());
        // SAFETY: the caller's guarantees, passed on; `at` was allocated by the system's allocator.
        unsafe { System.dealloc(at, layout) }
    }
}
