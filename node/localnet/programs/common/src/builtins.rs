//! The memory functions the compiler calls by name. The target has no C library and a
//! program's loops would cost far more compute units than the runtime's own calls.

#[cfg(target_arch = "bpf")]
mod memory {
    use pinocchio::syscalls::{sol_memcmp_, sol_memcpy_, sol_memmove_, sol_memset_};

    #[no_mangle]
    unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, length: usize) -> *mut u8 {
        sol_memcpy_(to, from, length as u64);
        to
    }

    #[no_mangle]
    unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, length: usize) -> *mut u8 {
        sol_memmove_(to, from, length as u64);
        to
    }

    #[no_mangle]
    unsafe extern "C" fn memset(to: *mut u8, byte: i32, length: usize) -> *mut u8 {
        sol_memset_(to, byte as u8, length as u64);
        to
    }

    #[no_mangle]
    unsafe extern "C" fn memcmp(left: *const u8, right: *const u8, length: usize) -> i32 {
        let mut order = 0i32;
        sol_memcmp_(left, right, length as u64, &mut order);
        order
    }

    #[no_mangle]
    unsafe extern "C" fn bcmp(left: *const u8, right: *const u8, length: usize) -> i32 {
        memcmp(left, right, length)
    }
}
