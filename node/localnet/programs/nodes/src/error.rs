//! The program's own list of errors, but for `GpuInvalid` (6003), which nothing raises:
//! a host may have no GPU.

common::rules! {
    ARCHITECTURE_UNKNOWN = 6000 ArchitectureUnknown "This architecture does not exist.";
    COUNTRY_UNKNOWN = 6001 CountryCodeUnknown "This country does not exist.";
    CPU_INVALID = 6002 CpuInvalid "CPU value must be greater than zero";
    MEMORY_INVALID = 6004 MemoryInvalid "Memory value must be greater than zero";
    IOPS_INVALID = 6005 IopsInvalid "IOPS value must be greater than zero";
    STORAGE_INVALID = 6006 StorageInvalid "Storage value must be greater than zero";
}
