// Package pgtest gives tests a PostgreSQL database: the one that
// TEST_DATABASE_URL or DATABASE_URL names, or else a server of their own that
// lives in a temporary folder and ends with the tests.
package pgtest

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Main runs the tests of a package and then stops the server, if one was
// started. Call it from TestMain.
func Main(m *testing.M) {
	interrupt := make(chan os.Signal, 1)
	signal.Notify(interrupt, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-interrupt
		stop()
		os.Exit(1)
	}()
	code := m.Run()
	stop()
	os.Exit(code)
}

// URL returns a connection string whose search_path is a new schema, which is
// dropped after the test. It skips the test, and says why, when there is no
// database and none can be started; one that is configured must answer.
func URL(t *testing.T) string {
	t.Helper()
	base := os.Getenv("TEST_DATABASE_URL")
	if base == "" {
		base = os.Getenv("DATABASE_URL")
	}
	if base == "" || base == "memory://" {
		started, err := start()
		if err != nil {
			t.Skipf("no PostgreSQL: TEST_DATABASE_URL is not set, and %v", err)
		}
		base = started.url
	}
	schema := "test_" + strings.ToLower(rand.Text())
	execute(t, base, "CREATE SCHEMA "+schema)
	t.Cleanup(func() { execute(t, base, "DROP SCHEMA "+schema+" CASCADE") })
	return withSearchPath(t, base, schema)
}

func withSearchPath(t *testing.T, base, schema string) string {
	t.Helper()
	if !strings.Contains(base, "://") {
		return base + " search_path=" + schema
	}
	u, err := url.Parse(base)
	if err != nil {
		t.Fatal("the test database's URL cannot be read")
	}
	query := u.Query()
	query.Set("search_path", schema)
	u.RawQuery = query.Encode()
	return u.String()
}

func execute(t *testing.T, url, sql string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatalf("connect to the test database: %v", err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// server is a PostgreSQL that listens on a socket in its own folder only.
type server struct {
	url    string
	folder string
	log    bytes.Buffer // read after exited is closed
	cmd    *exec.Cmd
	exited chan struct{}
}

var (
	mu       sync.Mutex
	running  *server
	startErr error
)

// start starts the server once for all tests of the package.
func start() (*server, error) {
	mu.Lock()
	defer mu.Unlock()
	if running == nil && startErr == nil {
		s := &server{}
		if startErr = s.start(); startErr != nil {
			s.remove()
		} else {
			running = s
		}
	}
	return running, startErr
}

func stop() {
	mu.Lock()
	defer mu.Unlock()
	if running != nil {
		running.remove()
		running = nil
	}
}

func (s *server) start() error {
	bin, err := binaries()
	if err != nil {
		return err
	}
	if s.folder, err = os.MkdirTemp("", "pgtest-"); err != nil {
		return err
	}
	// PostgreSQL refuses to run as root.
	as, err := unprivileged(s.folder)
	if err != nil {
		return err
	}
	data := filepath.Join(s.folder, "data")
	env := []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "TZ=UTC"}

	initdb := exec.Command(filepath.Join(bin, "initdb"), "--pgdata="+data, "--username=postgres",
		"--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync")
	initdb.Dir, initdb.Env, initdb.SysProcAttr = s.folder, env, as
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb failed: %w: %s", err, out)
	}

	s.cmd = exec.Command(filepath.Join(bin, "postgres"), "-D", data, "-F",
		"-c", "listen_addresses=", "-c", "unix_socket_directories="+s.folder,
		"-c", "dynamic_shared_memory_type=mmap")
	s.cmd.Dir, s.cmd.Env, s.cmd.SysProcAttr = s.folder, env, as
	s.cmd.Stdout, s.cmd.Stderr = &s.log, &s.log
	s.exited = make(chan struct{})
	started := make(chan error)
	go func() {
		// The server is told to stop when the thread that started it ends, so
		// this thread must last as long as the tests.
		runtime.LockOSThread()
		err := s.cmd.Start()
		started <- err
		if err == nil {
			_ = s.cmd.Wait()
		}
		close(s.exited)
	}()
	if err := <-started; err != nil {
		return err
	}
	s.url = "postgres:///postgres?" + url.Values{"host": {s.folder}, "user": {"postgres"}, "sslmode": {"disable"}}.Encode()
	return s.wait(30 * time.Second)
}

// wait returns when the server takes connections.
func (s *server) wait(limit time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	for {
		conn, err := pgx.Connect(ctx, s.url)
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-s.exited:
			return fmt.Errorf("postgres ended: %s", s.log.String())
		case <-ctx.Done():
			return fmt.Errorf("postgres did not answer within %s: %w", limit, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// remove ends the server and deletes its folder.
func (s *server) remove() {
	if s.exited != nil && s.cmd.Process != nil {
		_ = s.cmd.Process.Signal(os.Interrupt) // a fast shutdown: connections are cut
		select {
		case <-s.exited:
		case <-time.After(10 * time.Second):
			_ = s.cmd.Process.Kill()
			<-s.exited
		}
	}
	if s.folder != "" {
		if err := os.RemoveAll(s.folder); err != nil {
			fmt.Fprintln(os.Stderr, "pgtest:", err)
		}
	}
}

// binaries finds the folder of initdb and postgres: the newest that Debian's
// packages installed, or else the one in PATH.
func binaries() (string, error) {
	folders, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil {
		return "", err
	}
	version := func(folder string) int {
		number, _ := strconv.Atoi(filepath.Base(filepath.Dir(folder)))
		return number
	}
	slices.SortFunc(folders, func(a, b string) int { return version(b) - version(a) })
	if initdb, err := exec.LookPath("initdb"); err == nil {
		if initdb, err = filepath.EvalSymlinks(initdb); err == nil {
			folders = append(folders, filepath.Dir(initdb))
		}
	}
	for _, folder := range folders {
		_, errInit := os.Stat(filepath.Join(folder, "initdb"))
		_, errServe := os.Stat(filepath.Join(folder, "postgres"))
		if errInit == nil && errServe == nil {
			return folder, nil
		}
	}
	return "", errors.New("its programs are neither in /usr/lib/postgresql/*/bin nor in PATH")
}
