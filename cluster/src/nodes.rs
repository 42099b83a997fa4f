//! The two that work until they are stopped: the scheduler, and executors.
//!
//! Functions go over the wire by name alone, so each side has them in a registry of its own.

use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use ballista_core::registry::BallistaFunctionRegistry;
use ballista_core::utils::default_session_builder;
use ballista_executor::executor_process::{ExecutorProcessConfig, start_executor_process};
use ballista_scheduler::cluster::BallistaCluster;
use ballista_scheduler::config::SchedulerConfig;
use ballista_scheduler::scheduler_process::{create_scheduler, start_grpc_service_with_listener};
use datafusion::execution::{FunctionRegistry, SessionState};
use datafusion::functions_nested::all_default_nested_functions;
use datafusion_proto::protobuf::{LogicalPlanNode, PhysicalPlanNode};
use softargmax_sql::{SqlError, aggregate_functions, scalar_functions};

use crate::args::{ExecutorArgs, SchedulerArgs};

/// How long data between stages is kept after its job, in seconds.
const KEPT: u64 = 3600;

pub(crate) async fn scheduler(args: &SchedulerArgs) -> Result<(), SqlError> {
    let timeout = u64::from(args.executor_timeout);
    let config = SchedulerConfig {
        bind_host: args.bind.clone(),
        bind_port: args.port,
        external_host: args.bind.clone(),
        executor_timeout_seconds: timeout,
        expire_dead_executor_interval_seconds: (timeout / 4).clamp(1, 15),
        no_executors_grace_period_seconds: timeout.max(60),
        override_session_builder: Some(Arc::new(|config| {
            let mut state: SessionState = default_session_builder(config)?;
            for function in scalar_functions() {
                state.register_udf(function)?;
            }
            for function in aggregate_functions() {
                state.register_udaf(function)?;
            }
            Ok(state)
        })),
        ..SchedulerConfig::default()
    };
    config.validate().map_err(SqlError::refused)?;
    let address = format!("{}:{}", args.bind, args.port);
    let unbound = |error: &dyn std::fmt::Display| {
        SqlError::refused(format!("{address}: cannot be listened on: {error}"))
            .hint("--bind takes an address of this machine, --port 0 any port that is free")
    };
    let place: SocketAddr = address.parse().map_err(|error| unbound(&error))?;
    let listener = tokio::net::TcpListener::bind(place).await.map_err(|error| unbound(&error))?;
    let place = listener.local_addr().map_err(SqlError::internal)?;
    let config = SchedulerConfig { bind_port: place.port(), ..config };
    let cluster = BallistaCluster::new_from_config(&config).await.map_err(SqlError::internal)?;
    let scheduler =
        create_scheduler::<LogicalPlanNode, PhysicalPlanNode>(cluster, Arc::new(config));
    let scheduler = scheduler.await.map_err(SqlError::internal)?;
    say(&format!("scheduler at {place}"))?;
    start_grpc_service_with_listener(listener, scheduler).await.map_err(SqlError::internal)
}

pub(crate) async fn executor(args: &ExecutorArgs) -> Result<(), SqlError> {
    let (scheduler_host, scheduler_port) = host_and_port(&args.scheduler)?;
    let mut functions = BallistaFunctionRegistry::default();
    let scalars = scalar_functions().into_iter().chain(all_default_nested_functions());
    functions.scalar_functions.extend(scalars.map(|one| (one.name().to_owned(), one)));
    let aggregates = aggregate_functions().into_iter();
    functions.aggregate_functions.extend(aggregates.map(|one| (one.name().to_owned(), one)));
    // Held until the end: gone with this process.
    let temporary = tempfile::tempdir().map_err(SqlError::refused)?;
    let work_dir = args.work_dir.as_deref().unwrap_or(temporary.path());
    std::fs::create_dir_all(work_dir)
        .map_err(|error| SqlError::refused(format!("{}: {error}", work_dir.display())))?;
    let (port, grpc_port) = free_ports(&args.bind)?;
    let defaults = ExecutorProcessConfig::default();
    let config = ExecutorProcessConfig {
        bind_host: args.bind.clone(),
        external_host: Some(args.bind.clone()),
        port,
        grpc_port,
        scheduler_host,
        scheduler_port,
        scheduler_connect_timeout_seconds: 30,
        vcores: args.cores.map_or(defaults.vcores, usize::from),
        work_dir: Some(work_dir.display().to_string()),
        job_data_ttl_seconds: KEPT,
        job_data_clean_up_interval_seconds: KEPT / 4,
        executor_heartbeat_interval_seconds: u64::from(args.heartbeat),
        override_function_registry: Some(Arc::new(functions)),
        ..defaults
    };
    say(&format!("executor at {}:{port}", args.bind))?;
    let hint = "start softargmax-cluster scheduler first, and tell its address with --scheduler";
    start_executor_process(Arc::new(config))
        .await
        .map_err(|error| SqlError::refused(error).hint(hint))
}

/// The parts of HOST:PORT.
pub(crate) fn host_and_port(address: &str) -> Result<(String, u16), SqlError> {
    let parts = address.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?)));
    let (host, port) = parts.filter(|(host, _)| !host.is_empty()).ok_or_else(|| {
        SqlError::refused(format!("--scheduler {address} is no address"))
            .hint("give HOST:PORT, as softargmax-cluster scheduler prints it")
    })?;
    Ok((host.to_owned(), port))
}

/// Two ports that nobody listens on.
fn free_ports(bind: &str) -> Result<(u16, u16), SqlError> {
    let listen =
        || TcpListener::bind((bind, 0)).and_then(|one| Ok((one.local_addr()?.port(), one)));
    let unbound = |error| {
        SqlError::refused(format!("{bind}: cannot be listened on: {error}"))
            .hint("--bind takes an address of this machine")
    };
    // Both held at once, so that they differ.
    let ((first, _one), (second, _other)) =
        (listen().map_err(unbound)?, listen().map_err(unbound)?);
    Ok((first, second))
}

/// A line on standard output, for whoever started this process.
fn say(line: &str) -> Result<(), SqlError> {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{line}").and_then(|()| stdout.flush()).map_err(SqlError::refused)
}
