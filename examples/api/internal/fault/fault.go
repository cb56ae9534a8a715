// Package fault makes the service fail on purpose, so that a deployment tool
// can be shown a bad version. Nothing happens unless API_FAULT is set.
package fault

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// ErrInjected marks every error that a fault caused.
var ErrInjected = errors.New("injected fault")

// Fault is one way to fail. The zero value is none.
type Fault struct {
	kind  string
	after time.Duration
}

const (
	none       = ""
	exit       = "exit"
	unhealthy  = "unhealthy"
	hang       = "hang"
	crashAfter = "crash-after"
)

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
	return Fault{}, fmt.Errorf("%q is unknown: want exit, unhealthy, hang or crash-after:<duration>", text)
}

// Active says whether there is a fault at all.
func (f Fault) Active() bool { return f.kind != none }

func (f Fault) String() string {
	if f.kind == crashAfter {
		return crashAfter + ":" + f.after.String()
	}
	return f.kind
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
