//! The buffer protocol. It is in CPython's stable interface from 3.11 on only, so PyO3 leaves it out for 3.10; its functions and
//! the layout of `Py_buffer` have been the same since 3.0. All `unsafe` code of the package stands here.
#![allow(unsafe_code, reason = "the buffer protocol, and descriptors, which are numbers in Python")]

use std::cell::Cell;
use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::mem::{MaybeUninit, size_of};
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};
use std::{io, ptr, slice};

use oncue::Msg;
use pyo3::exceptions::PyTypeError;
use pyo3::ffi::{
    Py_DECREF, Py_INCREF, Py_IsInitialized, Py_None, Py_TPFLAGS_BASETYPE, Py_TPFLAGS_DEFAULT,
    Py_TPFLAGS_DISALLOW_INSTANTIATION, Py_TYPE, Py_sq_length, Py_ssize_t, Py_tp_dealloc, Py_tp_free,
    Py_tp_getset, Py_tp_new, PyErr_SetString, PyEval_SaveThread, PyExc_BufferError, PyGILState_Ensure,
    PyGILState_GetThisThreadState, PyGILState_Release, PyGILState_STATE, PyGetSetDef, PyObject,
    PyObject_Free, PyTuple_GetItem, PyTuple_Size, PyType_FromSpec, PyType_GenericAlloc, PyType_GetSlot,
    PyType_Slot, PyType_Spec, PyTypeObject,
};
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyIterator, PyTuple, PyType};
use pyo3::{Bound, Py, PyAny, PyErr, PyResult, Python};

/// `PyBUF_FULL_RO`: any layout, read-only or not.
const FULL_RO: c_int = 0x0008 | 0x0010 | 0x0100 | 0x0004;
/// The numbers of the slots of the buffer protocol.
const GET_BUFFER: c_int = 1;

/// `Py_buffer`.
#[repr(C)]
struct View {
    start: *mut c_void,
    owner: *mut PyObject,
    bytes: Py_ssize_t,
    item_size: Py_ssize_t,
    read_only: c_int,
    dimensions: c_int,
    format: *mut c_char,
    shape: *mut Py_ssize_t,
    strides: *mut Py_ssize_t,
    suboffsets: *mut Py_ssize_t,
    internal: *mut c_void,
}

unsafe extern "C-unwind" {
    fn PyObject_Call(call: *mut PyObject, arguments: *mut PyObject, named: *mut PyObject) -> *mut PyObject;
    fn PyIter_Next(iterator: *mut PyObject) -> *mut PyObject;
}

unsafe extern "C" {
    fn PyObject_GetBuffer(exporter: *mut PyObject, view: *mut View, flags: c_int) -> c_int;
    fn PyBuffer_IsContiguous(view: *const View, order: c_char) -> c_int;
    fn PyBuffer_Release(view: *mut View);
    fn PyBuffer_FillInfo(
        view: *mut View,
        owner: *mut PyObject,
        start: *mut c_void,
        bytes: Py_ssize_t,
        read_only: c_int,
        flags: c_int,
    ) -> c_int;
}

/// A contiguous export of an object's memory, which its owner holds in place until this is dropped.
pub(crate) struct Export(Box<View>);

// SAFETY: the memory may be read on any thread. The export is released with the interpreter attached.
unsafe impl Send for Export {}
// SAFETY: as above.
unsafe impl Sync for Export {}

impl Export {
    /// Asks an object for its memory. None: it is not contiguous.
    ///
    /// # Errors
    /// What the object raises; `TypeError` or `BufferError` if it has no memory to show.
    pub(crate) fn of(value: &Bound<'_, PyAny>) -> PyResult<Option<Export>> {
        let mut view = Box::new(MaybeUninit::<View>::zeroed());
        // SAFETY: the pointers are valid for the call. On success the view is filled in.
        let failed = unsafe { PyObject_GetBuffer(value.as_ptr(), view.as_mut_ptr(), FULL_RO) } == -1;
        if failed {
            return Err(PyErr::fetch(value.py()));
        }
        // SAFETY: filled in, and in any case zeroed, which is a valid view.
        let export = Export(unsafe { view.assume_init() });
        if export.shows_objects() {
            return Err(PyTypeError::new_err("the buffer holds references to objects, not their values"));
        }
        // In C's order or in Fortran's: either is sent as it stands in memory.
        // SAFETY: the view is filled in.
        let contiguous = unsafe { PyBuffer_IsContiguous(&raw const *export.0, b'A' as c_char) } == 1;
        Ok(contiguous.then_some(export))
    }

    /// Whether the memory holds pointers to objects, as the format `O` says. Names of fields stand between colons.
    fn shows_objects(&self) -> bool {
        if self.0.format.is_null() {
            return false;
        }
        // SAFETY: a format is text that ends with a zero, and lives as long as the export.
        let format = unsafe { CStr::from_ptr(self.0.format) }.to_bytes();
        format.split(|byte| *byte == b':').step_by(2).any(|codes| codes.contains(&b'O'))
    }

    /// The bytes. If the owner's user writes to them at the same time, a mixture is read.
    pub(crate) fn bytes(&self) -> &[u8] {
        match usize::try_from(self.0.bytes) {
            // SAFETY: the owner holds that many contiguous bytes in place until the release.
            Ok(bytes) if bytes > 0 => unsafe { slice::from_raw_parts(self.0.start.cast::<u8>(), bytes) },
            _ => &[],
        }
    }
}

impl Drop for Export {
    fn drop(&mut self) {
        let view = &raw mut *self.0;
        // Without an interpreter there is nothing to be released any more.
        // SAFETY: the view was filled in, and is released once.
        let _ = Python::try_attach(|_| unsafe { PyBuffer_Release(view) });
    }
}

/// One frame of a received message, as an object that shows its bytes by the buffer protocol, without a copy.
#[repr(C)]
struct Frame {
    head: PyObject,
    message: Msg,
    index: usize,
}

// Without the interpreter's lock, any number of threads read it at once.
const _: () = {
    const fn shared<T: Send + Sync>() {}
    shared::<Msg>();
};

/// A memoryview of one frame, read-only. It keeps the buffer alive in which the message arrived.
pub(crate) fn view<'py>(py: Python<'py>, message: &Msg, index: usize) -> PyResult<Bound<'py, PyAny>> {
    static TYPE: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    let class = TYPE.get_or_try_init(py, || frame_type(py))?.bind(py);
    // SAFETY: the type's instances have the layout of `Frame`. The parts behind the head are written before anybody sees
    // the object; an allocation that failed is an error.
    let frame = unsafe {
        let frame = PyType_GenericAlloc(class.as_ptr().cast::<PyTypeObject>(), 0);
        let frame = Bound::from_owned_ptr_or_err(py, frame)?;
        let parts = frame.as_ptr().cast::<Frame>();
        (&raw mut (*parts).message).write(message.clone());
        (&raw mut (*parts).index).write(index);
        frame
    };
    pyo3::types::PyMemoryView::from(&frame).map(Bound::into_any)
}

fn frame_type(py: Python<'_>) -> PyResult<Py<PyType>> {
    let name: &CStr = c"oncue._oncue.Frame";
    let get: unsafe extern "C" fn(*mut PyObject, *mut View, c_int) -> c_int = frame_get;
    let free: unsafe extern "C" fn(*mut PyObject) = frame_free;
    let mut slots = [
        PyType_Slot { slot: Py_tp_dealloc, pfunc: free as *mut c_void },
        PyType_Slot { slot: GET_BUFFER, pfunc: get as *mut c_void },
        PyType_Slot { slot: 0, pfunc: ptr::null_mut() },
    ];
    let mut spec = PyType_Spec {
        name: name.as_ptr(),
        basicsize: c_int::try_from(size_of::<Frame>()).expect("a frame is small"),
        itemsize: 0,
        // One that is made in another way would have no message.
        flags: (Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION) as c_uint,
        slots: slots.as_mut_ptr(),
    };
    // SAFETY: spec and slots are valid for the call, which copies them.
    let class = unsafe { Bound::from_owned_ptr_or_err(py, PyType_FromSpec(&raw mut spec)) }?;
    Ok(class.cast_into::<PyType>()?.unbind())
}

unsafe extern "C" fn frame_get(frame: *mut PyObject, view: *mut View, flags: c_int) -> c_int {
    // SAFETY: only instances of the type come here, with their parts written. The bytes do not move or change while the
    // message lives, which the frame holds, and the view gets a reference to the frame; it is filled in as read-only.
    unsafe {
        let parts = &*frame.cast::<Frame>();
        let bytes = parts.message.frame(parts.index).unwrap_or_default();
        let start = bytes.as_ptr().cast_mut().cast::<c_void>();
        // A slice is never longer than the largest `isize`.
        PyBuffer_FillInfo(view, frame, start, bytes.len() as Py_ssize_t, 1, flags)
    }
}

unsafe extern "C" fn frame_free(frame: *mut PyObject) {
    // SAFETY: the last reference is gone, so the parts are dropped once, before the memory is freed. Instances of a type of
    // the heap own a reference to it.
    unsafe {
        let class = Py_TYPE(frame);
        ptr::drop_in_place(&raw mut (*frame.cast::<Frame>()).message);
        PyObject_Free(frame.cast());
        Py_DECREF(class.cast());
    }
}

/// An object of Python that shows the memory of another one by the buffer protocol, read-only or not as that is. It can be
/// subclassed. `Buffer(data)`; further arguments are a subclass's.
#[repr(C)]
struct Buffer {
    head: PyObject,
    /// Written when the object is made; its owner is the other object.
    view: View,
}

/// The type of `Buffer`.
pub(crate) fn buffer_type(py: Python<'_>) -> PyResult<Bound<'_, PyType>> {
    let new: unsafe extern "C" fn(*mut PyTypeObject, *mut PyObject, *mut PyObject) -> *mut PyObject =
        buffer_new;
    let free: unsafe extern "C" fn(*mut PyObject) = buffer_free;
    let get: unsafe extern "C" fn(*mut PyObject, *mut View, c_int) -> c_int = buffer_get;
    let length: unsafe extern "C" fn(*mut PyObject) -> Py_ssize_t = buffer_length;
    let owner: unsafe extern "C" fn(*mut PyObject, *mut c_void) -> *mut PyObject = buffer_owner;
    // Python keeps a pointer to the table for ever.
    let attributes: &'static mut [PyGetSetDef] = Box::leak(Box::new([
        PyGetSetDef { name: c"obj".as_ptr(), get: Some(owner), ..PyGetSetDef::default() },
        PyGetSetDef::default(),
    ]));
    let mut slots = [
        PyType_Slot { slot: Py_tp_new, pfunc: new as *mut c_void },
        PyType_Slot { slot: Py_tp_dealloc, pfunc: free as *mut c_void },
        PyType_Slot { slot: GET_BUFFER, pfunc: get as *mut c_void },
        PyType_Slot { slot: Py_sq_length, pfunc: length as *mut c_void },
        PyType_Slot { slot: Py_tp_getset, pfunc: attributes.as_mut_ptr().cast() },
        PyType_Slot { slot: 0, pfunc: ptr::null_mut() },
    ];
    let mut spec = PyType_Spec {
        name: c"oncue._oncue.Buffer".as_ptr(),
        basicsize: c_int::try_from(size_of::<Buffer>()).expect("a buffer is small"),
        itemsize: 0,
        flags: (Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE) as c_uint,
        slots: slots.as_mut_ptr(),
    };
    // SAFETY: spec and slots are valid for the call, which copies them.
    let class = unsafe { Bound::from_owned_ptr_or_err(py, PyType_FromSpec(&raw mut spec)) }?;
    Ok(class.cast_into::<PyType>()?)
}

unsafe extern "C" fn buffer_new(
    class: *mut PyTypeObject,
    arguments: *mut PyObject,
    _: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: called by Python with the interpreter attached. The view is written before anybody sees the object: by the
    // owner's export, or as it was allocated, zeroed, which is a view of nothing.
    unsafe {
        let buffer = PyType_GenericAlloc(class, 0);
        if buffer.is_null() || PyTuple_Size(arguments) < 1 {
            return buffer;
        }
        let view = &raw mut (*buffer.cast::<Buffer>()).view;
        let data = PyTuple_GetItem(arguments, 0);
        let failed = PyObject_GetBuffer(data, view, FULL_RO) == -1;
        if !failed && PyBuffer_IsContiguous(view, b'A' as c_char) == 1 {
            return buffer;
        }
        if failed {
            (*view).owner = ptr::null_mut();
        } else {
            PyErr_SetString(PyExc_BufferError, c"the buffer is not contiguous".as_ptr());
        }
        Py_DECREF(buffer);
        ptr::null_mut()
    }
}

unsafe extern "C" fn buffer_free(buffer: *mut PyObject) {
    // SAFETY: the last reference is gone. A view without an owner is released as nothing. A subclass has another way to free
    // its memory, which its type knows; instances of a type of the heap own a reference to it.
    unsafe {
        let class = Py_TYPE(buffer);
        PyBuffer_Release(&raw mut (*buffer.cast::<Buffer>()).view);
        let free: unsafe extern "C" fn(*mut c_void) = std::mem::transmute(PyType_GetSlot(class, Py_tp_free));
        free(buffer.cast());
        Py_DECREF(class.cast());
    }
}

unsafe extern "C" fn buffer_get(buffer: *mut PyObject, view: *mut View, flags: c_int) -> c_int {
    // SAFETY: only instances of the type come here. The memory stays in place while the object lives, and the new view gets a
    // reference to the object.
    unsafe {
        let of = &(*buffer.cast::<Buffer>()).view;
        PyBuffer_FillInfo(view, buffer, of.start, of.bytes, of.read_only, flags)
    }
}

unsafe extern "C" fn buffer_length(buffer: *mut PyObject) -> Py_ssize_t {
    // SAFETY: only instances of the type come here.
    unsafe { (*buffer.cast::<Buffer>()).view.bytes }
}

unsafe extern "C" fn buffer_owner(buffer: *mut PyObject, _: *mut c_void) -> *mut PyObject {
    // SAFETY: only instances of the type come here. The view holds a reference to its owner, if it has one.
    unsafe {
        let owner = (*buffer.cast::<Buffer>()).view.owner;
        let owner = if owner.is_null() { Py_None() } else { owner };
        Py_INCREF(owner);
        owner
    }
}

/// Attaches this thread to the interpreter for a call. A thread of the library keeps its state of the interpreter until it
/// ends: making one for each call would take longer than many a call.
pub(crate) fn attach<R>(call: impl FnOnce(Python<'_>) -> R) -> R {
    thread_local! {
        static RESIDENCE: Residence = Residence::begin();
    }
    RESIDENCE.with(|_| ());
    let _inside = Inside::enter();
    Python::attach(call)
}

thread_local! {
    /// How many calls of the library into Python this thread is in.
    static CALLS: Cell<usize> = const { Cell::new(0) };
}

/// This thread is in a call of the library into Python.
struct Inside;

impl Inside {
    fn enter() -> Inside {
        CALLS.set(CALLS.get() + 1);
        Inside
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        CALLS.set(CALLS.get() - 1);
    }
}

/// Whether this thread runs a function that the library has called, such as a producer.
pub(crate) fn is_inside() -> bool {
    CALLS.get() > 0
}

/// Before 3.14, an interpreter that ends makes a thread exit that wants to run Python again, and unwinds its stack for it. A
/// function that was given up, as by a second Ctrl-C, may meet that. What Rust would release on the way needs the
/// interpreter, so the thread hangs instead, as it does from 3.14 on, until the process ends.
struct HangUnwound;

impl Drop for HangUnwound {
    fn drop(&mut self) {
        loop {
            std::thread::park();
        }
    }
}

/// Calls a function of the user's, on a thread of the library.
pub(crate) fn call<'py>(
    function: &Bound<'py, PyAny>,
    arguments: &Bound<'py, PyTuple>,
) -> PyResult<Bound<'py, PyAny>> {
    let guard = HangUnwound;
    // SAFETY: the pointers are valid, and this thread is attached. The result is a reference of our own, or null.
    let result = unsafe { PyObject_Call(function.as_ptr(), arguments.as_ptr(), ptr::null_mut()) };
    std::mem::forget(guard);
    // SAFETY: as above.
    unsafe { Bound::from_owned_ptr_or_err(function.py(), result) }
}

/// The next value of an iterator of the user's, on a thread of the library.
pub(crate) fn next<'py>(iterator: &Bound<'py, PyIterator>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let guard = HangUnwound;
    // SAFETY: it is an iterator, and this thread is attached. The result is a reference of our own, or null.
    let result = unsafe { PyIter_Next(iterator.as_ptr()) };
    std::mem::forget(guard);
    // SAFETY: as above.
    let value = unsafe { Bound::from_owned_ptr_or_opt(iterator.py(), result) };
    match (value, PyErr::take(iterator.py())) {
        (_, Some(error)) => Err(error),
        (value, None) => Ok(value),
    }
}

/// A thread's state of the interpreter that outlives a call.
struct Residence {
    /// None where the thread has a state anyway: it belongs to Python, or is attached already.
    held: Option<PyGILState_STATE>,
}

impl Residence {
    fn begin() -> Residence {
        // SAFETY: the interpreter runs while the library has work for it, which `atexit` ends before. The state is detached
        // at once, so that the thread holds no lock.
        unsafe {
            if !PyGILState_GetThisThreadState().is_null() {
                return Residence { held: None };
            }
            let held = PyGILState_Ensure();
            PyEval_SaveThread();
            Residence { held: Some(held) }
        }
    }
}

impl Drop for Residence {
    fn drop(&mut self) {
        let Some(unattached) = self.held.take() else { return };
        // An interpreter that ends frees the states of all threads, and takes no thread in any more.
        if Python::try_attach(|_| ()).is_none() {
            return;
        }
        // SAFETY: attached by the first call; the second takes the count of that back and stays attached, the third takes
        // that of the beginning back, which frees the state.
        unsafe {
            if Py_IsInitialized() != 0 {
                PyGILState_Ensure();
                PyGILState_Release(PyGILState_STATE::PyGILState_LOCKED);
                PyGILState_Release(unattached);
            }
        }
    }
}

/// A duplicate of a descriptor that Python's user names by its number.
pub(crate) fn duplicate(fd: RawFd) -> io::Result<OwnedFd> {
    if fd < 0 {
        return Err(io::Error::from_raw_os_error(9));
    }
    // SAFETY: it is only duplicated, during this call; a number that is not open gives an error.
    unsafe { BorrowedFd::borrow_raw(fd) }.try_clone_to_owned()
}
