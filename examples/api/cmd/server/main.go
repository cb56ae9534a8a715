// Command server is the consignments API. Its subcommands share one binary
// because the image it ships in holds nothing else: no shell, no curl, no psql.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"example.com/longshore/api/internal/app"
	"example.com/longshore/api/internal/config"
	"example.com/longshore/api/internal/fault"
	"example.com/longshore/api/internal/httpapi"
)

// commit is set at link time: -ldflags "-X main.commit=<sha>".
var commit = "unknown"

const usage = `usage: server [command]

commands:
  serve    apply migrations and serve the API (the default)
  migrate  apply migrations and exit
  health   ask the server on this host for /health; exit 0 when it is healthy
  version  print the commit and the Go version as JSON
`

const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2 // a bad command line or a bad environment
	exitFault  = 3 // an injected fault ended the process
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	// Once the first signal is being handled, a second one ends the process.
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) int {
	command := "serve"
	if len(args) > 0 {
		command = args[0]
	}
	if len(args) > 1 {
		fmt.Fprintf(stderr, "server: unexpected argument %q\n%s", args[1], usage)
		return exitUsage
	}
	switch command {
	case "serve":
		return withConfig(getenv, stdout, func(cfg config.Config, log *slog.Logger) error {
			return app.Serve(ctx, cfg, log, commit)
		})
	case "migrate":
		return withConfig(getenv, stdout, func(cfg config.Config, log *slog.Logger) error {
			return app.Migrate(ctx, cfg, log)
		})
	case "health":
		if err := app.CheckHealth(ctx, getenv); err != nil {
			fmt.Fprintln(stderr, "server: unhealthy:", err)
			return exitFailed
		}
		return exitOK
	case "version":
		if err := json.NewEncoder(stdout).Encode(httpapi.NewVersion(commit)); err != nil {
			return exitFailed
		}
		return exitOK
	case "help", "-h", "--help":
		fmt.Fprint(stdout, usage)
		return exitOK
	default:
		fmt.Fprintf(stderr, "server: unknown command %q\n%s", command, usage)
		return exitUsage
	}
}

// withConfig runs one command with what the environment asks for, and turns
// how it ended into an exit code and, on failure, one log line.
func withConfig(getenv func(string) string, stdout io.Writer, command func(config.Config, *slog.Logger) error) int {
	cfg, err := config.Load(getenv)
	log := slog.New(slog.NewJSONHandler(stdout, &slog.HandlerOptions{Level: cfg.LogLevel}))
	if err == nil {
		err = command(cfg, log)
	}
	var problems config.Problems
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &problems):
		log.Error("the configuration is not valid", "problems", []string(problems))
		return exitUsage
	case errors.Is(err, fault.ErrInjected):
		log.Error(err.Error())
		return exitFault
	default:
		log.Error("the server stopped", "error", err.Error())
		return exitFailed
	}
}
