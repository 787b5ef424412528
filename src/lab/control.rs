//! The lab's control interface: HTTP with JSON on 127.0.0.1, for this user's own commands.
//!
//! Every request needs the token of the lab's home folder. A web page in this user's browser can reach loopback too,
//! so a request that a browser sent for a page (it has an `Origin`), or that came by another name than the address
//! itself (DNS rebinding), is refused before the token is looked at.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use super::backend::Backend;
use super::status::{BrokerVerb, FaultRule, LabInfo, LabStatus, Witnessed};
use crate::jobs::JobManager;
use crate::jobs::status::{JobStatus, LogLine, Refusal, Submit, Submitted};
use crate::problem::{Exit, Outcome, Problem};

/// The largest request: an SQL file.
const REQUEST_LIMIT_BYTES: usize = 1024 * 1024;

/// A [`Problem`] on the wire, without its place: the files that it could name are the asking side's.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Refused {
    what: String,
    next: Option<String>,
    exit: u8,
}

impl Refused {
    pub(super) fn into_problem(self) -> Problem {
        let problem = Problem::new(self.what).exit(match self.exit {
            1 => Exit::NotYet,
            3 => Exit::NoLab,
            _ => Exit::Usage,
        });
        match self.next {
            Some(next) => problem.next(next),
            None => problem,
        }
    }
}

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        Self {
            what: problem.what,
            next: problem.next,
            exit: problem.exit as u8,
        }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (StatusCode::CONFLICT, Json(self)).into_response()
    }
}

/// The running lab, as the handlers see it.
pub(super) struct Lab {
    pub(super) info: LabInfo,
    pub(super) started: String,
    pub(super) data: Option<PathBuf>,
    pub(super) backend: Box<dyn Backend>,
    pub(super) jobs: JobManager,
    pub(super) stop: tokio::sync::Notify,
}

/// Whom the interface lets in.
struct Gate {
    token: String,
    /// The only `Host` that this interface has.
    host: String,
}

/// All routes, behind the gate. `port` is where the interface listens on 127.0.0.1.
pub(super) fn router(lab: Arc<Lab>, token: String, port: u16) -> Router {
    let gate = Arc::new(Gate {
        token,
        host: format!("127.0.0.1:{port}"),
    });
    let routes = Router::new()
        .route("/lab", get(info))
        .route("/status", get(status))
        .route("/down", post(down))
        .route("/jobs", get(jobs).post(submit))
        .route("/jobs/{word}", get(job))
        .route("/jobs/{word}/stop", post(stop_job))
        .route("/jobs/{word}/logs", get(job_logs))
        .route("/brokers/{id}", post(broker))
        .route("/faults", get(faults).post(add_fault))
        .route("/faults/clear", post(clear_faults))
        .route("/topics/{topic}/witnessed", get(witnessed))
        .route("/clock/advance", post(advance_clock))
        .with_state(lab);
    Router::new()
        .nest("/v1", routes)
        .layer(DefaultBodyLimit::max(REQUEST_LIMIT_BYTES))
        .layer(middleware::from_fn_with_state(gate, admit))
}

async fn admit(State(gate): State<Arc<Gate>>, request: Request, next: Next) -> Response {
    match gate.refusal(request.headers()) {
        Some(status) => status.into_response(),
        None => next.run(request).await,
    }
}

impl Gate {
    fn refusal(&self, headers: &HeaderMap) -> Option<StatusCode> {
        let host = headers.get(header::HOST).map(header::HeaderValue::as_bytes);
        if host != Some(self.host.as_bytes()) || headers.contains_key(header::ORIGIN) {
            return Some(StatusCode::FORBIDDEN);
        }
        let given = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.as_bytes().strip_prefix(b"Bearer "))
            .unwrap_or_default();
        let matches = bool::from(given.ct_eq(self.token.as_bytes()));
        (!matches).then_some(StatusCode::UNAUTHORIZED)
    }
}

/// Runs what blocks on a thread that may.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Refused> {
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        tracing::error!(%error, "a request failed");
        Refused::from(
            Problem::new("the lab's process failed at this request")
                .next("its log is `log` in the lab's folder, which `streamlings status` names")
                .exit(Exit::NoLab),
        )
    })
}

async fn on_backend(
    lab: Arc<Lab>,
    work: impl FnOnce(&dyn Backend) -> Outcome<()> + Send + 'static,
) -> Result<Json<()>, Refused> {
    blocking(move || work(lab.backend.as_ref())).await??;
    Ok(Json(()))
}

/// What the jobs' part answers: a value, or a refusal with its own HTTP status.
enum JobAnswer<T> {
    Value(T),
    Refused(Refusal),
    Failed(Refused),
}

impl<T: Serialize> IntoResponse for JobAnswer<T> {
    fn into_response(self) -> Response {
        match self {
            Self::Value(value) => Json(value).into_response(),
            Self::Refused(refusal) => {
                let status = StatusCode::from_u16(refusal.kind.http_status());
                (status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), Json(refusal)).into_response()
            }
            Self::Failed(refused) => refused.into_response(),
        }
    }
}

async fn on_jobs<T: Send + 'static>(
    lab: Arc<Lab>,
    work: impl FnOnce(&JobManager) -> Result<T, Refusal> + Send + 'static,
) -> JobAnswer<T> {
    match blocking(move || work(&lab.jobs)).await {
        Ok(Ok(value)) => JobAnswer::Value(value),
        Ok(Err(refusal)) => JobAnswer::Refused(refusal),
        Err(refused) => JobAnswer::Failed(refused),
    }
}

async fn info(State(lab): State<Arc<Lab>>) -> Json<LabInfo> {
    Json(lab.info.clone())
}

async fn status(State(lab): State<Arc<Lab>>) -> Result<Json<LabStatus>, Refused> {
    blocking(move || {
        Json(LabStatus {
            backend: lab.info.backend,
            bootstrap: lab.info.target.bootstrap.clone(),
            prefix: lab.info.target.prefix.clone(),
            brokers: lab.backend.brokers(),
            jobs: lab.jobs.list(),
            capabilities: lab.info.capabilities,
            pid: lab.info.pid,
            started: lab.started.clone(),
            data: lab.data.clone(),
            reason: lab.info.reason.clone(),
            clock_ahead_ms: u64::try_from(lab.backend.clock_ahead().as_millis()).unwrap_or(u64::MAX),
        })
    })
    .await
}

async fn down(State(lab): State<Arc<Lab>>) -> Json<()> {
    lab.stop.notify_one();
    Json(())
}

async fn jobs(State(lab): State<Arc<Lab>>) -> JobAnswer<Vec<JobStatus>> {
    on_jobs(lab, |jobs| Ok(jobs.list())).await
}

async fn submit(State(lab): State<Arc<Lab>>, Json(submit): Json<Submit>) -> JobAnswer<Submitted> {
    on_jobs(lab, move |jobs| jobs.submit(&submit)).await
}

async fn job(State(lab): State<Arc<Lab>>, Path(word): Path<String>) -> JobAnswer<JobStatus> {
    on_jobs(lab, move |jobs| jobs.show(&word)).await
}

async fn stop_job(State(lab): State<Arc<Lab>>, Path(word): Path<String>) -> JobAnswer<JobStatus> {
    on_jobs(lab, move |jobs| jobs.stop(&word)).await
}

async fn job_logs(State(lab): State<Arc<Lab>>, Path(word): Path<String>) -> JobAnswer<Vec<LogLine>> {
    on_jobs(lab, move |jobs| jobs.logs(&word)).await
}

async fn broker(
    State(lab): State<Arc<Lab>>,
    Path(id): Path<i32>,
    Json(verb): Json<BrokerVerb>,
) -> Result<Json<()>, Refused> {
    on_backend(lab, move |backend| backend.broker(id, verb)).await
}

async fn faults(State(lab): State<Arc<Lab>>) -> Result<Json<Vec<FaultRule>>, Refused> {
    Ok(Json(blocking(move || lab.backend.faults()).await??))
}

async fn add_fault(State(lab): State<Arc<Lab>>, Json(rule): Json<FaultRule>) -> Result<Json<()>, Refused> {
    on_backend(lab, move |backend| backend.add_fault(&rule)).await
}

async fn clear_faults(State(lab): State<Arc<Lab>>) -> Result<Json<()>, Refused> {
    on_backend(lab, |backend| backend.clear_faults()).await
}

async fn witnessed(
    State(lab): State<Arc<Lab>>,
    Path(topic): Path<String>,
) -> Result<Json<Witnessed>, Refused> {
    Ok(Json(blocking(move || lab.backend.witnessed(&topic)).await??))
}

async fn advance_clock(State(lab): State<Arc<Lab>>, Json(by_ms): Json<u64>) -> Result<Json<()>, Refused> {
    on_backend(lab, move |backend| {
        backend.advance_clock(Duration::from_millis(by_ms))
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(headers: &[(header::HeaderName, &str)]) -> Option<u16> {
        let gate = Gate {
            token: "secret".into(),
            host: "127.0.0.1:4711".into(),
        };
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(name, value.parse().unwrap());
        }
        gate.refusal(&map).map(|status| status.as_u16())
    }

    #[test]
    fn only_the_token_at_the_address_itself_comes_in() {
        let host = (header::HOST, "127.0.0.1:4711");
        let token = (header::AUTHORIZATION, "Bearer secret");
        assert_eq!(answer(&[host.clone(), token.clone()]), None);
        assert_eq!(answer(std::slice::from_ref(&host)), Some(401));
        assert_eq!(
            answer(&[host.clone(), (header::AUTHORIZATION, "Bearer secre")]),
            Some(401)
        );
        assert_eq!(
            answer(&[host.clone(), (header::AUTHORIZATION, "secret")]),
            Some(401)
        );
        assert_eq!(answer(std::slice::from_ref(&token)), Some(403));
        assert_eq!(
            answer(&[(header::HOST, "evil.example:4711"), token.clone()]),
            Some(403)
        );
        assert_eq!(
            answer(&[(header::HOST, "localhost:4711"), token.clone()]),
            Some(403)
        );
        assert_eq!(
            answer(&[host, token, (header::ORIGIN, "https://evil.example")]),
            Some(403)
        );
    }
}
