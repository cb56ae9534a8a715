//! One container of a task, and what hangs on it.

use super::{KeyValuePair, LinuxParameters, StringMap};
use crate::decode::{choice, record};

record! {
    "camelCase";

    /// One container of a task.
    struct ContainerDefinition {
        /// Its name, unique in the task.
        name: Option<String>,
        /// Image reference. The container that longshore deploys holds `${image}` here and gets `repository@sha256:…`.
        image: Option<String>,
        /// Credentials for a private registry that is not ECR.
        repository_credentials: Option<RepositoryCredentials>,
        /// CPU units (1/1024 vCPU) of this container.
        cpu: Option<i32>,
        /// Hard memory limit in MiB: above it the container is killed.
        memory: Option<i32>,
        /// Soft memory limit in MiB.
        memory_reservation: Option<i32>,
        /// Containers to reach by name under `bridge` networking.
        links: Option<Vec<String>>,
        /// Ports that can be reached.
        port_mappings: Option<Vec<PortMapping>>,
        /// Whether the task stops when this container does; true when left out.
        essential: Option<bool>,
        /// Whether ECS restarts the container inside the task.
        restart_policy: Option<ContainerRestartPolicy>,
        /// Replaces the image's entry point.
        entry_point: Option<Vec<String>>,
        /// Replaces the image's command.
        command: Option<Vec<String>>,
        /// Environment variables by value. Anyone who may describe the task definition reads them: no secrets here.
        environment: Option<Vec<KeyValuePair>>,
        /// Files in S3 that hold environment variables.
        environment_files: Option<Vec<EnvironmentFile>>,
        /// Where volumes of the task are mounted.
        mount_points: Option<Vec<MountPoint>>,
        /// Containers whose mounts this one takes over.
        volumes_from: Option<Vec<VolumeFrom>>,
        /// Linux-specific settings.
        linux_parameters: Option<LinuxParameters>,
        /// Environment variables by reference to SSM parameters or Secrets Manager secrets.
        secrets: Option<Vec<Secret>>,
        /// Containers that must have reached a state before this one starts.
        depends_on: Option<Vec<ContainerDependency>>,
        /// Seconds to wait for the containers this one depends on.
        start_timeout: Option<i32>,
        /// Seconds between SIGTERM and SIGKILL; 30 when left out, at most 120 on Fargate.
        stop_timeout: Option<i32>,
        /// Whether ECS resolves the image tag to a digest once per deployment.
        version_consistency: Option<VersionConsistency>,
        /// Host name inside the container.
        hostname: Option<String>,
        /// User that runs the process: a name or `uid[:gid]`.
        user: Option<String>,
        /// Working directory of the process.
        working_directory: Option<String>,
        /// Whether the container has no network.
        disable_networking: Option<bool>,
        /// Whether the container has the rights of the instance's root; not on Fargate.
        privileged: Option<bool>,
        /// Whether the root file system is read-only.
        readonly_root_filesystem: Option<bool>,
        /// DNS servers; not under `awsvpc`.
        dns_servers: Option<Vec<String>>,
        /// DNS search domains; not under `awsvpc`.
        dns_search_domains: Option<Vec<String>>,
        /// Lines for `/etc/hosts`; not under `awsvpc`.
        extra_hosts: Option<Vec<HostEntry>>,
        /// SELinux, AppArmor or credential spec options; not on Fargate.
        docker_security_options: Option<Vec<String>>,
        /// Whether standard input stays open.
        interactive: Option<bool>,
        /// Whether a terminal is allocated.
        pseudo_terminal: Option<bool>,
        /// Labels of the container.
        docker_labels: Option<StringMap>,
        /// Resource limits of the process.
        ulimits: Option<Vec<Ulimit>>,
        /// Where standard output and error go.
        log_configuration: Option<LogConfiguration>,
        /// Command that tells whether the container is healthy.
        health_check: Option<HealthCheck>,
        /// Kernel parameters of the container's namespaces.
        system_controls: Option<Vec<SystemControl>>,
        /// GPUs and accelerators.
        resource_requirements: Option<Vec<ResourceRequirement>>,
        /// Makes this container the log router of the task.
        firelens_configuration: Option<FirelensConfiguration>,
        /// Active Directory credential specs.
        credential_specs: Option<Vec<String>>,
    }

    /// Credentials for a private registry.
    struct RepositoryCredentials {
        /// ARN of the Secrets Manager secret that holds user name and password.
        credentials_parameter: String,
    }

    /// A port that can be reached.
    struct PortMapping {
        /// Port the process listens on.
        container_port: Option<i32>,
        /// Port on the host; under `awsvpc` the same as the container's or left out.
        host_port: Option<i32>,
        /// Transport protocol; `tcp` when left out.
        protocol: Option<TransportProtocol>,
        /// Name for Service Connect and VPC Lattice.
        name: Option<String>,
        /// Application protocol for Service Connect.
        app_protocol: Option<ApplicationProtocol>,
        /// Range of ports, such as `8000-8010`, instead of one.
        container_port_range: Option<String>,
    }

    /// Restarts inside a task.
    struct ContainerRestartPolicy {
        /// Whether ECS restarts the container.
        enabled: bool,
        /// Exit codes after which it is not restarted.
        ignored_exit_codes: Option<Vec<i32>>,
        /// Seconds that the container must have run before it is restarted, 60 to 1800; 300 when left out.
        restart_attempt_period: Option<i32>,
    }

    /// A file in S3 that holds environment variables.
    struct EnvironmentFile {
        /// ARN of the S3 object.
        value: String,
        /// Kind of file.
        r#type: EnvironmentFileType,
    }

    /// Where a volume is mounted.
    struct MountPoint {
        /// Name of the task's volume.
        source_volume: Option<String>,
        /// Path in the container.
        container_path: Option<String>,
        /// Whether it cannot be written.
        read_only: Option<bool>,
    }

    /// A container whose mounts are taken over.
    struct VolumeFrom {
        /// Name of that container.
        source_container: Option<String>,
        /// Whether they cannot be written.
        read_only: Option<bool>,
    }

    /// A value by reference.
    struct Secret {
        /// Name of the environment variable (or log option).
        name: String,
        /// ARN or name of an SSM parameter, or ARN of a Secrets Manager secret (`arn:…:secret:name-AbCdEf:json-key::`).
        value_from: String,
    }

    /// A state that another container must have reached.
    struct ContainerDependency {
        /// Name of the other container.
        container_name: String,
        /// The state.
        condition: ContainerCondition,
    }

    /// A line for `/etc/hosts`.
    struct HostEntry {
        /// Host name.
        hostname: String,
        /// Its address.
        ip_address: String,
    }

    /// A resource limit.
    struct Ulimit {
        /// Which limit.
        name: UlimitName,
        /// Soft limit.
        soft_limit: i32,
        /// Hard limit.
        hard_limit: i32,
    }

    /// Where standard output and error go.
    struct LogConfiguration {
        /// The driver; Fargate knows `awslogs`, `splunk` and `awsfirelens`.
        log_driver: LogDriver,
        /// Settings of the driver, such as `awslogs-group`.
        options: Option<StringMap>,
        /// Settings by reference.
        secret_options: Option<Vec<Secret>>,
    }

    /// Command that tells whether a container is healthy.
    struct HealthCheck {
        /// `["CMD", program, argument…]` runs a program; `["CMD-SHELL", line]` needs a shell in the image.
        command: Vec<String>,
        /// Seconds between checks, 5 to 300; 30 when left out.
        interval: Option<i32>,
        /// Seconds until a check counts as failed, 2 to 60; 5 when left out.
        timeout: Option<i32>,
        /// Failures in a row that make the container unhealthy, 1 to 10; 3 when left out.
        retries: Option<i32>,
        /// Seconds after the start in which failures do not count, 0 to 300.
        start_period: Option<i32>,
    }

    /// A kernel parameter.
    struct SystemControl {
        /// Its name, such as `net.core.somaxconn`.
        namespace: Option<String>,
        /// Its value.
        value: Option<String>,
    }

    /// A GPU or accelerator.
    struct ResourceRequirement {
        /// Number of GPUs, or name of the accelerator.
        value: String,
        /// Kind of resource.
        r#type: ResourceType,
    }

    /// The log router of a task.
    struct FirelensConfiguration {
        /// Which router.
        r#type: FirelensType,
        /// Its settings.
        options: Option<StringMap>,
    }
}

choice! {
    /// Transport protocol.
    enum TransportProtocol {
        /// TCP.
        Tcp = "tcp",
        /// UDP.
        Udp = "udp",
    }

    /// Application protocol of a port.
    enum ApplicationProtocol {
        /// HTTP/1.1.
        Http = "http",
        /// HTTP/2.
        Http2 = "http2",
        /// gRPC.
        Grpc = "grpc",
    }

    /// Kind of environment file.
    enum EnvironmentFileType {
        /// An object in S3.
        S3 = "s3",
    }

    /// State that a container must have reached.
    enum ContainerCondition {
        /// It has been started.
        Start = "START",
        /// It has ended, with whatever exit code.
        Complete = "COMPLETE",
        /// It has ended with exit code 0.
        Success = "SUCCESS",
        /// Its health check passes.
        Healthy = "HEALTHY",
    }

    /// Whether ECS resolves image tags to digests.
    enum VersionConsistency {
        /// It does; the default.
        Enabled = "enabled",
        /// It does not.
        Disabled = "disabled",
    }

    /// Which resource limit.
    enum UlimitName {
        /// Core file size.
        Core = "core",
        /// CPU time.
        Cpu = "cpu",
        /// Data segment.
        Data = "data",
        /// File size.
        Fsize = "fsize",
        /// File locks.
        Locks = "locks",
        /// Locked memory.
        Memlock = "memlock",
        /// Message queues.
        Msgqueue = "msgqueue",
        /// Nice value.
        Nice = "nice",
        /// Open files.
        Nofile = "nofile",
        /// Processes.
        Nproc = "nproc",
        /// Resident set.
        Rss = "rss",
        /// Real-time priority.
        Rtprio = "rtprio",
        /// Real-time run time.
        Rttime = "rttime",
        /// Pending signals.
        Sigpending = "sigpending",
        /// Stack size.
        Stack = "stack",
    }

    /// Log driver.
    enum LogDriver {
        /// Files on the instance.
        JsonFile = "json-file",
        /// Syslog.
        Syslog = "syslog",
        /// The systemd journal.
        Journald = "journald",
        /// Graylog.
        Gelf = "gelf",
        /// Fluentd.
        Fluentd = "fluentd",
        /// CloudWatch Logs.
        Awslogs = "awslogs",
        /// Splunk.
        Splunk = "splunk",
        /// The task's own log router.
        Awsfirelens = "awsfirelens",
    }

    /// Kind of resource.
    enum ResourceType {
        /// A GPU.
        Gpu = "GPU",
        /// An Elastic Inference accelerator.
        InferenceAccelerator = "InferenceAccelerator",
    }

    /// Which log router.
    enum FirelensType {
        /// Fluentd.
        Fluentd = "fluentd",
        /// Fluent Bit.
        Fluentbit = "fluentbit",
    }
}
