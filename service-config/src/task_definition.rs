//! The task definition: the whole input of RegisterTaskDefinition, typed.
//!
//! Every member is here (ECS API 2014-11-13), in the order in which ECS's own documents list them, so nothing is lost between the file that was reviewed and the bytes that are sent.
//! Optional members are left out of what is sent when they are left out of the file.

use std::collections::BTreeMap;

use crate::decode::{choice, record};

mod container;
mod linux;
mod volume;

pub use container::*;
pub use linux::*;
pub use volume::*;

record! {
    "camelCase";

    /// An ECS task definition, as RegisterTaskDefinition takes it.
    struct TaskDefinition {
        /// Name under which revisions of this task definition are counted; letters, digits, `-` and `_`, at most 255.
        family: String,
        /// Role that the application's own AWS calls use.
        task_role_arn: Option<String>,
        /// Role with which ECS pulls the image, reads secrets and writes logs.
        execution_role_arn: Option<String>,
        /// How containers are connected; Fargate knows `awsvpc` only.
        network_mode: Option<NetworkMode>,
        /// The containers that run together as one task.
        container_definitions: Vec<ContainerDefinition>,
        /// Storage that containers can mount.
        volumes: Option<Vec<Volume>>,
        /// Rules on which EC2 instances a task may run.
        placement_constraints: Option<Vec<PlacementConstraint>>,
        /// What the task definition must be able to run on; ECS checks it when it is registered.
        requires_compatibilities: Option<Vec<Compatibility>>,
        /// CPU of the whole task in units of 1/1024 vCPU (`"256"`); required on Fargate.
        cpu: Option<String>,
        /// Memory of the whole task in MiB (`"512"`); required on Fargate.
        memory: Option<String>,
        /// Tags of the registered revision.
        tags: Option<Vec<Tag>>,
        /// Whose process namespace the containers share.
        pid_mode: Option<PidMode>,
        /// Whose interprocess communication namespace the containers share.
        ipc_mode: Option<IpcMode>,
        /// The App Mesh proxy of this task.
        proxy_configuration: Option<ProxyConfiguration>,
        /// Elastic Inference accelerators; no longer offered by AWS to new customers.
        inference_accelerators: Option<Vec<InferenceAccelerator>>,
        /// Size of the task's scratch storage on Fargate.
        ephemeral_storage: Option<EphemeralStorage>,
        /// Operating system and CPU architecture of the task.
        runtime_platform: Option<RuntimePlatform>,
        /// Whether AWS Fault Injection Service may act on tasks.
        enable_fault_injection: Option<bool>,
    }

    /// A rule on where a task may be placed.
    struct PlacementConstraint {
        /// Kind of rule.
        r#type: Option<PlacementConstraintType>,
        /// Cluster query language expression that the instance must match.
        expression: Option<String>,
    }

    /// A key and a value attached to a resource.
    struct Tag {
        /// Key, at most 128 characters; must not begin with `aws:`.
        key: Option<String>,
        /// Value, at most 256 characters.
        value: Option<String>,
    }

    /// The App Mesh proxy.
    struct ProxyConfiguration {
        /// Kind of proxy.
        r#type: Option<ProxyType>,
        /// Name of the container that is the proxy.
        container_name: String,
        /// Network settings of the proxy.
        properties: Option<Vec<KeyValuePair>>,
    }

    /// An Elastic Inference accelerator.
    struct InferenceAccelerator {
        /// Name by which a container asks for it.
        device_name: String,
        /// Its type.
        device_type: String,
    }

    /// Scratch storage of a task.
    struct EphemeralStorage {
        /// Size in GiB, 21 to 200.
        size_in_gi_b: i32,
    }

    /// Operating system and CPU architecture.
    struct RuntimePlatform {
        /// CPU architecture; `X86_64` when left out.
        cpu_architecture: Option<CpuArchitecture>,
        /// Operating system; `LINUX` when left out.
        operating_system_family: Option<OperatingSystemFamily>,
    }

    /// A name and a value.
    struct KeyValuePair {
        /// The name.
        name: Option<String>,
        /// The value, always a string.
        value: Option<String>,
    }
}

choice! {
    /// How containers are connected.
    enum NetworkMode {
        /// Docker's bridge on the instance.
        Bridge = "bridge",
        /// The instance's own network.
        Host = "host",
        /// A network interface for each task.
        Awsvpc = "awsvpc",
        /// No network.
        None = "none",
    }

    /// What a task definition can run on.
    enum Compatibility {
        /// EC2 container instances.
        Ec2 = "EC2",
        /// Fargate.
        Fargate = "FARGATE",
        /// Registered external instances (ECS Anywhere).
        External = "EXTERNAL",
        /// Instances that ECS manages.
        ManagedInstances = "MANAGED_INSTANCES",
    }

    /// Kind of placement rule.
    enum PlacementConstraintType {
        /// The instance must match the expression.
        MemberOf = "memberOf",
    }

    /// Whose process namespace containers share.
    enum PidMode {
        /// The instance's.
        Host = "host",
        /// One for the task.
        Task = "task",
    }

    /// Whose interprocess communication namespace containers share.
    enum IpcMode {
        /// The instance's.
        Host = "host",
        /// One for the task.
        Task = "task",
        /// None.
        None = "none",
    }

    /// Kind of proxy.
    enum ProxyType {
        /// AWS App Mesh.
        AppMesh = "APPMESH",
    }

    /// CPU architecture.
    enum CpuArchitecture {
        /// 64-bit x86.
        X8664 = "X86_64",
        /// 64-bit Arm (Graviton).
        Arm64 = "ARM64",
    }

    /// Operating system of a task.
    enum OperatingSystemFamily {
        /// Windows Server 2019 Full.
        WindowsServer2019Full = "WINDOWS_SERVER_2019_FULL",
        /// Windows Server 2019 Core.
        WindowsServer2019Core = "WINDOWS_SERVER_2019_CORE",
        /// Windows Server 2016 Full.
        WindowsServer2016Full = "WINDOWS_SERVER_2016_FULL",
        /// Windows Server 2004 Core.
        WindowsServer2004Core = "WINDOWS_SERVER_2004_CORE",
        /// Windows Server 2022 Core.
        WindowsServer2022Core = "WINDOWS_SERVER_2022_CORE",
        /// Windows Server 2022 Full.
        WindowsServer2022Full = "WINDOWS_SERVER_2022_FULL",
        /// Windows Server 2025 Core.
        WindowsServer2025Core = "WINDOWS_SERVER_2025_CORE",
        /// Windows Server 2025 Full.
        WindowsServer2025Full = "WINDOWS_SERVER_2025_FULL",
        /// Windows Server 20H2 Core.
        WindowsServer20h2Core = "WINDOWS_SERVER_20H2_CORE",
        /// Linux.
        Linux = "LINUX",
    }
}

/// Names and values, such as Docker labels or driver options.
pub type StringMap = BTreeMap<String, String>;
