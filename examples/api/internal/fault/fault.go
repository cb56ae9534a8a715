// Package fault makes the service fail on purpose, so that a deployment tool
// can be shown a bad version. Nothing happens unless API_FAULT is set.
package fault

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

// ErrInjected marks every error that a fault caused.
var ErrInjected = errors.New("injected fault")

// Fault is one way to fail. The zero value is none.
type Fault struct {
	kind  string
	after time.Duration
	mib   int
}

const (
	none       = ""
	exit       = "exit"
	unhealthy  = "unhealthy"
	hang       = "hang"
	crashAfter = "crash-after"
	memory     = "memory"
)

const (
	mostMiB  = 64 << 10
	stepMiB  = 16
	stepWait = 20 * time.Millisecond
)

// hoard is the memory that a fault took: what nothing refers to would be freed.
var hoard [][]byte

// Parse reads the value of API_FAULT. Empty text is no fault.
func Parse(text string) (Fault, error) {
	switch text {
	case none, exit, unhealthy, hang:
		return Fault{kind: text}, nil
	}
	if rest, ok := strings.CutPrefix(text, crashAfter+":"); ok {
		after, err := time.ParseDuration(rest)
		if err != nil || after < 0 {
			return Fault{}, fmt.Errorf("%q: want a duration after %q, such as 5s", text, crashAfter+":")
		}
		return Fault{kind: crashAfter, after: after}, nil
	}
	if rest, ok := strings.CutPrefix(text, memory+":"); ok {
		mib, err := strconv.Atoi(rest)
		if err != nil || mib < 1 || mib > mostMiB {
			return Fault{}, fmt.Errorf("%q: want a number of MiB after %q, such as 1024", text, memory+":")
		}
		return Fault{kind: memory, mib: mib}, nil
	}
	return Fault{}, fmt.Errorf("%q is unknown: want exit, unhealthy, hang, crash-after:<duration> or memory:<MiB>", text)
}

// Active says whether there is a fault at all.
func (f Fault) Active() bool { return f.kind != none }

func (f Fault) String() string {
	switch f.kind {
	case crashAfter:
		return crashAfter + ":" + f.after.String()
	case memory:
		return memory + ":" + strconv.Itoa(f.mib)
	default:
		return f.kind
	}
}

// AtStart returns an error when the fault is to fail right at start.
func (f Fault) AtStart() error {
	if f.kind == exit {
		return f.err()
	}
	return nil
}

// Crash yields an error once the fault's time has come; call it when the
// service has begun to listen. Without such a fault it never yields.
func (f Fault) Crash() <-chan error {
	if f.kind != crashAfter {
		return nil
	}
	crash := make(chan error, 1)
	time.AfterFunc(f.after, func() { crash <- f.err() })
	return crash
}

// Grow takes memory, a little at a time, until it has what the fault says; it
// returns at once. Call it at most once, when the service has begun to listen.
// Without such a fault it does nothing.
func (f Fault) Grow() {
	if f.kind != memory {
		return
	}
	go func() {
		for taken := 0; taken < f.mib; taken += stepMiB {
			block := make([]byte, min(stepMiB, f.mib-taken)<<20)
			for page := 0; page < len(block); page += os.Getpagesize() {
				block[page] = 1 // memory that nobody wrote to takes no room
			}
			hoard = append(hoard, block)
			time.Sleep(stepWait)
		}
	}()
}

// Wrap puts the fault in front of a handler. Requests that hang are dropped,
// still without an answer, when stop is closed.
func (f Fault) Wrap(next http.Handler, stop <-chan struct{}) http.Handler {
	switch f.kind {
	case unhealthy:
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/health" {
				next.ServeHTTP(w, r)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprintln(w, `{"status":"unavailable","fault":"unhealthy"}`)
		})
	case hang:
		return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-stop:
			case <-r.Context().Done():
			}
			panic(http.ErrAbortHandler) // closes the connection and writes nothing
		})
	default:
		return next
	}
}

func (f Fault) err() error { return fmt.Errorf("%w: API_FAULT=%s", ErrInjected, f) }
