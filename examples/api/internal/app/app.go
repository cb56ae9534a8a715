// Package app runs the service's commands: it joins configuration, store and
// handlers, and owns the order in which they start and stop.
package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"time"

	"example.com/longshore/api/internal/config"
	"example.com/longshore/api/internal/httpapi"
	"example.com/longshore/api/internal/store"
)

const (
	connectWait        = 10 * time.Second
	healthCheckTimeout = 2 * time.Second
)

// Serve runs the API until ctx ends, which is how it is asked to stop; it then
// lets requests in flight finish and returns nil.
func Serve(ctx context.Context, cfg config.Config, log *slog.Logger, commit string) error {
	if cfg.Fault.Active() {
		log.Warn("a fault is injected on purpose", "API_FAULT", cfg.Fault.String())
	}
	if err := cfg.Fault.AtStart(); err != nil {
		return err
	}
	st, err := openStore(ctx, cfg, log)
	if err != nil {
		if ctx.Err() != nil {
			log.Info("asked to stop before the start was complete")
			return nil
		}
		return err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", ":"+strconv.Itoa(cfg.Port))
	if err != nil {
		st.Close()
		return err
	}

	api := &httpapi.API{Store: st, Log: log, Commit: commit, Now: time.Now}
	server := &http.Server{
		Handler:           httpapi.Logged(log, cfg.Fault.Wrap(api.Routes(), ctx.Done())),
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      30 * time.Second,
		// Longer than the 60 s of an AWS load balancer, so that it never sends a
		// request on a connection which is being closed here.
		IdleTimeout:    75 * time.Second,
		MaxHeaderBytes: 64 << 10,
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	cfg.Fault.Grow()
	log.Info("listening", "address", listener.Addr().String(), "store", st.Name(), "commit", commit)

	select {
	case err := <-served:
		st.Close()
		return err
	case err := <-cfg.Fault.Crash():
		return err // as abrupt as a crash: nothing is finished or closed
	case <-ctx.Done():
	}

	log.Info("stopping", "timeout", cfg.ShutdownTimeout.String())
	deadline, cancel := context.WithTimeout(context.WithoutCancel(ctx), cfg.ShutdownTimeout)
	defer cancel()
	if err = server.Shutdown(deadline); err != nil {
		err = fmt.Errorf("requests were still running %s after the request to stop: %w", cfg.ShutdownTimeout, err)
		err = errors.Join(err, server.Close()) // cancels them, too
	}
	st.Close()
	if err != nil {
		return err
	}
	log.Info("stopped")
	return nil
}

// openStore opens the store that cfg asks for, ready for use.
func openStore(ctx context.Context, cfg config.Config, log *slog.Logger) (store.Store, error) {
	if cfg.InMemory() {
		log.Warn("no database: using the in-memory store, which forgets everything when the process ends", "store", "memory")
		return store.NewMemory(), nil
	}
	return openMigrated(ctx, cfg, log)
}

func openMigrated(ctx context.Context, cfg config.Config, log *slog.Logger) (*store.Postgres, error) {
	db, err := store.OpenPostgres(ctx, string(cfg.DatabaseURL), connectWait, log)
	if errors.Is(err, store.ErrBadURL) {
		return nil, config.Problems{err.Error()}
	}
	if err != nil {
		return nil, err
	}
	if err := db.Migrate(ctx, log); err != nil {
		db.Close()
		return nil, err
	}
	return db, nil
}

// Migrate applies the migrations and returns. Without DATABASE_URL it fails,
// so that a migration task which lacks its secret is not taken for a success.
func Migrate(ctx context.Context, cfg config.Config, log *slog.Logger) error {
	if cfg.DatabaseURL == "" {
		return config.Problems{"DATABASE_URL is not set: there is no database to migrate"}
	}
	if cfg.InMemory() {
		log.Info("the in-memory store needs no migrations", "store", "memory")
		return nil
	}
	db, err := openMigrated(ctx, cfg, log)
	if err != nil {
		return err
	}
	db.Close()
	return nil
}

// CheckHealth asks the server on this host whether it is healthy.
func CheckHealth(ctx context.Context, getenv func(string) string) error {
	port, err := config.Port(getenv)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, healthCheckTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/health", port), nil)
	if err != nil {
		return err
	}
	// No proxy, whatever the environment says: the server is on this host.
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("GET /health answered %s", resp.Status)
	}
	return nil
}
