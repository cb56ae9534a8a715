//! Numbers that ECS takes in a narrower range than their type: one table for the decoder and for the schema.

/// A range, both ends in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    /// Name of the record.
    pub record: &'static str,
    /// Name of the field, as the code has it.
    pub field: &'static str,
    /// The smallest number.
    pub least: i64,
    /// The largest number.
    pub most: i64,
}

const fn range(record: &'static str, field: &'static str, least: i64, most: i64) -> Range {
    Range {
        record,
        field,
        least,
        most,
    }
}

/// From the ECS API reference (the record's own page), and the definition of HTTP for the status. For `maximumPercent` it names no upper end; what is above is a slip.
pub(crate) const RANGES: &[Range] = &[
    range("HealthCheck", "interval", 5, 300),
    range("HealthCheck", "timeout", 2, 60),
    range("HealthCheck", "retries", 1, 10),
    range("HealthCheck", "start_period", 0, 300),
    range("PortMapping", "container_port", 0, 65535),
    range("PortMapping", "host_port", 0, 65535),
    range("ContainerRestartPolicy", "restart_attempt_period", 60, 1800),
    range("LinuxParameters", "swappiness", 0, 100),
    range("EphemeralStorage", "size_in_gi_b", 21, 200),
    range("AfterCheck", "status", 100, 599),
    range("DeploySection", "minimum_healthy_percent", 0, 100),
    range("DeploySection", "maximum_percent", 100, 10_000),
];

/// The range of a field; none when its type says all.
pub(crate) fn of(record: &str, field: &str) -> Option<&'static Range> {
    RANGES
        .iter()
        .find(|range| range.record == record && range.field == field)
}
