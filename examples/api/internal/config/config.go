// Package config reads the service's settings from its environment. All
// mistakes are reported together, so that a bad deployment is mended in one go.
package config

import (
	"log/slog"
	"strconv"
	"strings"
	"time"

	"example.com/longshore/api/internal/fault"
)

// Memory is the DATABASE_URL that asks for the in-memory store by name.
const Memory = "memory://"

// Config is what the environment asks for.
type Config struct {
	Port            int
	DatabaseURL     Secret
	LogLevel        slog.Level
	ShutdownTimeout time.Duration
	Fault           fault.Fault
}

// InMemory says whether the service runs without a database.
func (c Config) InMemory() bool { return c.DatabaseURL == "" || c.DatabaseURL == Memory }

// Problems is every mistake found in the environment. No entry holds a secret.
type Problems []string

func (p Problems) Error() string { return strings.Join(p, "; ") }

// Load reads the environment through getenv. Its error is always of type
// Problems; the Config beside it holds defaults where a value was not valid.
func Load(getenv func(string) string) (Config, error) {
	var problems Problems
	cfg := Config{
		DatabaseURL:     Secret(getenv("DATABASE_URL")),
		LogLevel:        slog.LevelInfo,
		ShutdownTimeout: 20 * time.Second,
	}

	port, err := Port(getenv)
	if err != nil {
		problems = append(problems, err.Error())
	}
	cfg.Port = port

	if text := getenv("LOG_LEVEL"); text != "" {
		var level slog.Level
		if level.UnmarshalText([]byte(text)) == nil {
			cfg.LogLevel = level
		} else {
			problems = append(problems, "LOG_LEVEL="+strconv.Quote(text)+": want debug, info, warn or error")
		}
	}

	if text := getenv("SHUTDOWN_TIMEOUT"); text != "" {
		if timeout, err := time.ParseDuration(text); err == nil && timeout > 0 {
			cfg.ShutdownTimeout = timeout
		} else {
			problems = append(problems, "SHUTDOWN_TIMEOUT="+strconv.Quote(text)+": want a duration above zero, such as 20s")
		}
	}

	if cfg.Fault, err = fault.Parse(getenv("API_FAULT")); err != nil {
		problems = append(problems, "API_FAULT: "+err.Error())
	}

	if len(problems) > 0 {
		return cfg, problems
	}
	return cfg, nil
}

// Port reads the port alone: the health check needs nothing else, and must not
// fail over a setting that is the server's business.
func Port(getenv func(string) string) (int, error) {
	text := getenv("PORT")
	if text == "" {
		return 8080, nil
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil || port == 0 {
		return 0, Problems{"PORT=" + strconv.Quote(text) + ": want a number from 1 to 65535"}
	}
	return int(port), nil
}

// Secret is text that no log line, error or %v shows. Convert it to a string
// where it is used, and nowhere else.
type Secret string

const hidden = "[hidden]"

// String hides the secret from fmt.
func (Secret) String() string { return hidden }

// GoString hides the secret from %#v.
func (Secret) GoString() string { return hidden }

// MarshalText hides the secret from log/slog and encoding/json.
func (Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }
