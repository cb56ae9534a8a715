package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"example.com/longshore/api/internal/pgtest"
)

// The tests run the server as a process: this test binary, told to be it.
const beServer = "API_TEST_BE_SERVER"

func TestMain(m *testing.M) {
	if os.Getenv(beServer) != "" {
		main()
		return
	}
	pgtest.Main(m)
}

// process is a running server. Its output may be read at any time.
type process struct {
	t    *testing.T
	cmd  *exec.Cmd
	url  string
	port string
	done chan struct{}

	mu     sync.Mutex
	output bytes.Buffer
}

func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.output.Write(b)
}

func (p *process) log() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.output.String()
}

// start starts the server with nothing in its environment but env.
func start(t *testing.T, args []string, env ...string) *process {
	t.Helper()
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	port := freePort(t)
	p := &process{t: t, cmd: exec.Command(executable, args...), url: "http://127.0.0.1:" + port, port: port, done: make(chan struct{})}
	p.cmd.Env = append([]string{beServer + "=1", "PORT=" + port}, env...)
	p.cmd.Stdout, p.cmd.Stderr = p, p
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.done
		if t.Failed() {
			t.Logf("the server's log:\n%s", p.log())
		}
	})
	return p
}

func freePort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	return port
}

// until polls a condition that another process makes true.
func (p *process) until(what string, condition func() bool) {
	p.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			p.t.Fatalf("gave up waiting until %s", what)
		}
	}
}

func (p *process) untilListening() {
	p.t.Helper()
	p.until("the server listens", func() bool { return strings.Contains(p.log(), `"msg":"listening"`) })
}

func (p *process) signal() {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatal(err)
	}
}

func (p *process) wantExit(code int) {
	p.t.Helper()
	select {
	case <-p.done:
		if got := p.cmd.ProcessState.ExitCode(); got != code {
			p.t.Fatalf("exit code %d, want %d", got, code)
		}
	case <-time.After(25 * time.Second):
		p.t.Fatal("the server did not end")
	}
}

// wantLog gives the log time to arrive: it comes through a pipe, which an
// answer over HTTP may overtake.
func (p *process) wantLog(parts ...string) {
	p.t.Helper()
	for _, part := range parts {
		for deadline := time.Now().Add(5 * time.Second); !strings.Contains(p.log(), part); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(deadline) {
				p.t.Errorf("want %s in the log", part)
				break
			}
		}
	}
}

func (p *process) wantGet(path string, status int, part string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url+path, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != status || !strings.Contains(string(body), part) {
		p.t.Errorf("GET %s: got %d %s %v; want %d with %s", path, resp.StatusCode, body, err, status, part)
	}
}

// wantHealthCheck runs `server health` against the server.
func (p *process) wantHealthCheck(code int, output string) {
	p.t.Helper()
	check := start(p.t, []string{"health"}, "PORT="+p.port, "API_FAULT=exit", "LOG_LEVEL=nonsense", "HTTP_PROXY=http://127.0.0.1:1")
	check.wantExit(code)
	check.wantLog(output)
}

func TestServeInMemory(t *testing.T) {
	t.Parallel()
	for _, env := range [][]string{nil, {"DATABASE_URL="}, {"DATABASE_URL=memory://"}} {
		p := start(t, nil, env...)
		p.untilListening()
		p.wantGet("/health", 200, `{"status":"ok","store":"memory"}`)
		p.wantGet("/version", 200, `{"commit":"unknown","go":"go1.`)
		p.wantGet("/v1/consignments", 200, `{"items":[]}`)
		p.wantHealthCheck(0, "")
		p.signal()
		p.wantExit(0)
		p.wantLog("using the in-memory store", `"msg":"stopped"`)
		if strings.Contains(p.log(), `"path":"/health"`) {
			t.Error("/health was logged at info level")
		}
		for line := range strings.Lines(p.log()) {
			if !json.Valid([]byte(line)) {
				t.Errorf("not JSON: %s", line)
			}
		}
		p.wantHealthCheck(1, "connection refused")
	}
}

func TestServeOnPostgres(t *testing.T) {
	t.Parallel()
	url := "DATABASE_URL=" + pgtest.URL(t)
	first, second := start(t, []string{"serve"}, url), start(t, []string{"serve"}, url, "LOG_LEVEL=debug")
	first.untilListening()
	second.untilListening()
	body := `{"reference":"REF-1","shipper":"A","consignee":"B","origin":"DEHAM","destination":"GBLON","weight_grams":1}`
	resp, err := http.Post(first.url+"/v1/consignments", "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	second.wantGet(resp.Header.Get("Location"), 200, `"reference":"REF-1"`)
	second.wantGet("/health", 200, `{"status":"ok","store":"postgres"}`)
	second.wantLog(`"level":"DEBUG","msg":"request","method":"GET","path":"/health","status":200`)
	for _, p := range []*process{first, second} {
		p.signal()
		p.wantExit(0)
		p.wantLog("the database schema is up to date", `"msg":"stopped"`)
	}
}

func TestMigrateCommand(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	for _, applied := range []string{`"applied":3`, `"applied":0`} {
		p := start(t, []string{"migrate"}, "DATABASE_URL="+url, "API_FAULT=exit")
		p.wantExit(0)
		p.wantLog(applied)
	}
	p := start(t, []string{"migrate"})
	p.wantExit(2)
	p.wantLog("DATABASE_URL is not set")
	p = start(t, []string{"migrate"}, "DATABASE_URL=memory://")
	p.wantExit(0)
}

// beginRequest sends the head of a POST and returns once its handler waits for
// the body.
func (p *process) beginRequest(body string) (*bufio.Reader, net.Conn) {
	p.t.Helper()
	conn, err := net.Dial("tcp", "127.0.0.1:"+p.port)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		p.t.Fatal(err)
	}
	fmt.Fprintf(conn, "POST /v1/consignments HTTP/1.1\r\nHost: api\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n", len(body))
	reader := bufio.NewReader(conn)
	for _, want := range []string{"HTTP/1.1 100 Continue\r\n", "\r\n"} {
		if line, err := reader.ReadString('\n'); line != want {
			p.t.Fatalf("got %q, %v; want %q", line, err, want)
		}
	}
	return reader, conn
}

func TestShutdownLetsARequestFinish(t *testing.T) {
	t.Parallel()
	p := start(t, nil)
	p.untilListening()
	body := `{"reference":"REF-1","shipper":"A","consignee":"B","origin":"DEHAM","destination":"GBLON","weight_grams":1}`
	reader, conn := p.beginRequest(body)
	p.signal()
	p.until("no new connection is taken", func() bool {
		probe, err := net.Dial("tcp", "127.0.0.1:"+p.port)
		if err == nil {
			probe.Close()
		}
		return errors.Is(err, syscall.ECONNREFUSED)
	})
	fmt.Fprint(conn, body)
	resp, err := http.ReadResponse(reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusCreated {
		t.Errorf("the request in flight: got %s", resp.Status)
	}
	p.wantExit(0)
	p.wantLog(`"msg":"stopped"`)
}

func TestShutdownGivesUpAfterItsTimeout(t *testing.T) {
	t.Parallel()
	p := start(t, nil, "SHUTDOWN_TIMEOUT=100ms")
	p.untilListening()
	p.beginRequest("{}")
	p.signal()
	p.wantExit(1)
	p.wantLog("requests were still running 100ms after the request to stop")
}

func TestShutdownCancelsAQueryThatIsOverdue(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	p := start(t, nil, "SHUTDOWN_TIMEOUT=100ms", "DATABASE_URL="+url)
	p.untilListening()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(t.Context(), "BEGIN; LOCK TABLE consignments"); err != nil {
		t.Fatal(err)
	}
	request, err := net.Dial("tcp", "127.0.0.1:"+p.port)
	if err != nil {
		t.Fatal(err)
	}
	defer request.Close()
	fmt.Fprint(request, "GET /v1/consignments HTTP/1.1\r\nHost: api\r\n\r\n")
	p.until("the query waits for the lock", func() bool {
		var waiting int
		err := conn.QueryRow(t.Context(), "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'consignments'::regclass").Scan(&waiting)
		return err == nil && waiting == 1
	})
	p.signal()
	signalled := time.Now()
	p.wantExit(1)
	if took := time.Since(signalled); took > 8*time.Second { // a request's own limit is 10 s
		t.Errorf("the end took %s", took)
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	const warning = `"level":"WARN","msg":"a fault is injected on purpose","API_FAULT":`
	t.Run("exit", func(t *testing.T) {
		p := start(t, nil, "API_FAULT=exit")
		p.wantExit(3)
		p.wantLog(warning+`"exit"`, `"level":"ERROR","msg":"injected fault: API_FAULT=exit"`)
	})
	t.Run("unhealthy", func(t *testing.T) {
		p := start(t, nil, "API_FAULT=unhealthy")
		p.untilListening()
		p.wantGet("/health", 503, `"unavailable"`)
		p.wantGet("/v1/consignments", 200, `{"items":[]}`)
		p.wantHealthCheck(1, "503")
		p.signal()
		p.wantExit(0)
		p.wantLog(warning + `"unhealthy"`)
	})
	t.Run("hang", func(t *testing.T) {
		p := start(t, nil, "API_FAULT=hang")
		p.untilListening()
		conn, err := net.Dial("tcp", "127.0.0.1:"+p.port)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprint(conn, "GET /version HTTP/1.1\r\nHost: api\r\n\r\n")
		p.wantHealthCheck(1, "deadline exceeded") // takes its 2 s
		p.signal()
		p.wantExit(0)
		if answer, err := io.ReadAll(conn); len(answer) > 0 {
			t.Errorf("an answer from a server that hangs: %q, %v", answer, err)
		}
		p.wantLog(warning + `"hang"`)
	})
	t.Run("crash-after", func(t *testing.T) {
		p := start(t, nil, "API_FAULT=crash-after:300ms")
		p.untilListening()
		p.wantExit(3)
		p.wantLog(warning+`"crash-after:300ms"`, `"level":"ERROR","msg":"injected fault: API_FAULT=crash-after:300ms"`)
	})
	t.Run("memory", func(t *testing.T) {
		if _, err := os.Stat("/proc/self/statm"); err != nil {
			t.Skip("what a process takes is read from /proc")
		}
		p := start(t, nil, "API_FAULT=memory:256")
		p.untilListening()
		p.until("it has taken 256 MiB", func() bool {
			var size, resident int
			text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", p.cmd.Process.Pid))
			if err != nil {
				return false
			}
			fmt.Sscan(string(text), &size, &resident)
			return resident*os.Getpagesize() > 256<<20
		})
		p.wantGet("/health", 200, `"ok"`)
		p.signal()
		p.wantExit(0)
		p.wantLog(warning + `"memory:256"`)
	})
	t.Run("unknown", func(t *testing.T) {
		p := start(t, nil, "API_FAULT=explode", "PORT=none")
		p.wantExit(2)
		p.wantLog(`API_FAULT: \"explode\" is unknown`, `PORT=\"none\"`)
	})
}

func TestADatabaseThatNeverAnswersEndsTheStart(t *testing.T) {
	t.Parallel()
	p := start(t, nil, "DATABASE_URL=postgres://api:hunter2@127.0.0.1:1/api", "LOG_LEVEL=debug")
	p.wantExit(1)
	p.wantLog(`"level":"WARN","msg":"the database does not answer"`,
		`"level":"ERROR","msg":"the server stopped","error":"no connection to the database within 10s`)
	if strings.Contains(p.log(), "hunter2") {
		t.Error("the password is in the log")
	}
}

func TestAStartThatWaitsForTheDatabaseCanBeStopped(t *testing.T) {
	t.Parallel()
	p := start(t, nil, "DATABASE_URL=postgres://api:hunter2@127.0.0.1:1/api")
	p.until("the first attempt failed", func() bool { return strings.Contains(p.log(), "does not answer") })
	p.signal()
	p.wantExit(0)
	p.wantLog("asked to stop before the start was complete")
}

func TestUnreadableDatabaseURL(t *testing.T) {
	t.Parallel()
	p := start(t, nil, "DATABASE_URL=postgres://api:hunter2/x@db/api")
	p.wantExit(2)
	p.wantLog("DATABASE_URL cannot be read")
	if strings.Contains(p.log(), "hunter2") {
		t.Error("the password is in the log")
	}
}

func TestCommandLine(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		args   []string
		code   int
		output string
	}{
		{[]string{"version"}, 0, `{"commit":"unknown","go":"go1.`},
		{[]string{"--help"}, 0, "usage: server"},
		{[]string{"start"}, 2, `unknown command "start"`},
		{[]string{"health", "now"}, 2, `unexpected argument "now"`},
	} {
		p := start(t, test.args)
		p.wantExit(test.code)
		p.wantLog(test.output)
	}
}
