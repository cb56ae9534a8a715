package config_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"example.com/longshore/api/internal/config"
)

func env(values map[string]string) func(string) string {
	return func(name string) string { return values[name] }
}

func TestDefaults(t *testing.T) {
	cfg, err := config.Load(env(nil))
	want := config.Config{Port: 8080, LogLevel: slog.LevelInfo, ShutdownTimeout: 20 * time.Second}
	if err != nil || cfg != want || !cfg.InMemory() {
		t.Errorf("got %#v, %v; want %#v", cfg, err, want)
	}
}

func TestAllSet(t *testing.T) {
	cfg, err := config.Load(env(map[string]string{
		"PORT": "65535", "DATABASE_URL": "postgres://db/api", "LOG_LEVEL": "debug", "SHUTDOWN_TIMEOUT": "1m", "API_FAULT": "hang",
	}))
	if err != nil || cfg.Port != 65535 || cfg.LogLevel != slog.LevelDebug || cfg.ShutdownTimeout != time.Minute ||
		cfg.Fault.String() != "hang" || cfg.InMemory() || string(cfg.DatabaseURL) != "postgres://db/api" {
		t.Errorf("got %#v, %v", cfg, err)
	}
}

func TestInMemory(t *testing.T) {
	for url, want := range map[string]bool{"": true, "memory://": true, "memory://x": false, "postgres://": false} {
		if cfg, _ := config.Load(env(map[string]string{"DATABASE_URL": url})); cfg.InMemory() != want {
			t.Errorf("%q: got %v", url, !want)
		}
	}
}

func TestEveryProblemIsReported(t *testing.T) {
	_, err := config.Load(env(map[string]string{"PORT": "0", "LOG_LEVEL": "loud", "SHUTDOWN_TIMEOUT": "-1s", "API_FAULT": "explode"}))
	for _, want := range []string{`PORT="0"`, `LOG_LEVEL="loud"`, `SHUTDOWN_TIMEOUT="-1s"`, `API_FAULT: "explode" is unknown`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q in %v", want, err)
		}
	}
	for _, values := range []map[string]string{
		{"PORT": "65536"}, {"PORT": "-1"}, {"PORT": "http"}, {"PORT": " 80"},
		{"SHUTDOWN_TIMEOUT": "0"}, {"SHUTDOWN_TIMEOUT": "20"},
		{"API_FAULT": "crash-after"}, {"API_FAULT": "crash-after:"}, {"API_FAULT": "crash-after:-1s"}, {"API_FAULT": "memory:"}, {"API_FAULT": "memory:0"}, {"API_FAULT": "memory:9999999"}, {"API_FAULT": "HANG"},
	} {
		if _, err := config.Load(env(values)); err == nil {
			t.Errorf("%v: want an error", values)
		}
	}
}

func TestASecretHidesItself(t *testing.T) {
	cfg, _ := config.Load(env(map[string]string{"DATABASE_URL": "postgres://api:hunter2@db/api"}))
	var log strings.Builder
	logger := slog.New(slog.NewJSONHandler(&log, nil))
	logger.Info("config", "config", cfg, "url", cfg.DatabaseURL)
	slog.New(slog.NewTextHandler(&log, nil)).Info("config", "config", cfg, "url", cfg.DatabaseURL)
	document, err := json.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("%v %+v %#v %s %q %s %s", cfg, cfg, cfg, cfg.DatabaseURL, cfg.DatabaseURL, document, log.String())
	if strings.Contains(text, "hunter2") {
		t.Errorf("the password is shown: %s", text)
	}
}
