//! Empty on purpose: this package exists to have `sbpf-linker` built as an artefact.
#![no_std]
