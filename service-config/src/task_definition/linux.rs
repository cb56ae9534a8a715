//! Linux-specific settings of a container.

use crate::decode::{choice, record};

record! {
    "camelCase";

    /// Linux-specific settings of a container.
    struct LinuxParameters {
        /// Kernel capabilities to add to and drop from the default set.
        capabilities: Option<KernelCapabilities>,
        /// Devices of the host.
        devices: Option<Vec<Device>>,
        /// Whether an init process reaps children.
        init_process_enabled: Option<bool>,
        /// Size of `/dev/shm` in MiB.
        shared_memory_size: Option<i32>,
        /// Memory file systems.
        tmpfs: Option<Vec<Tmpfs>>,
        /// Swap in MiB; not on Fargate.
        max_swap: Option<i32>,
        /// Swappiness, 0 to 100; not on Fargate.
        swappiness: Option<i32>,
    }

    /// Kernel capabilities.
    struct KernelCapabilities {
        /// To add; Fargate allows `SYS_PTRACE` only.
        add: Option<Vec<String>>,
        /// To drop.
        drop: Option<Vec<String>>,
    }

    /// A device of the host.
    struct Device {
        /// Path on the host.
        host_path: String,
        /// Path in the container.
        container_path: Option<String>,
        /// What the container may do with it.
        permissions: Option<Vec<DevicePermission>>,
    }

    /// A memory file system.
    struct Tmpfs {
        /// Path in the container.
        container_path: String,
        /// Largest size in MiB.
        size: i32,
        /// Mount options.
        mount_options: Option<Vec<String>>,
    }
}

choice! {
    /// What a container may do with a device.
    enum DevicePermission {
        /// Read it.
        Read = "read",
        /// Write it.
        Write = "write",
        /// Make device nodes of it.
        Mknod = "mknod",
    }
}
