// Command probe asks an HTTP address once and ends with 0 when the answer is 200: a container's health check for
// images that have neither a shell nor curl.
//
//	probe [-timeout 4s] http://127.0.0.1:8080/health
//
// It speaks HTTP itself instead of using net/http, which would make it more than twice as large.
package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strings"
	"time"
)

// ECS gives a health check five seconds when its task definition says nothing else: less, so that the reason is said.
const defaultTimeout = 4 * time.Second

func main() {
	timeout := flag.Duration("timeout", defaultTimeout, "how long the whole request may take")
	flag.Usage = func() {
		fmt.Fprintln(os.Stderr, "usage: probe [-timeout 4s] http://HOST:PORT/PATH")
	}
	flag.Parse()
	if flag.NArg() != 1 || *timeout <= 0 {
		flag.Usage()
		os.Exit(2)
	}
	if err := probe(flag.Arg(0), *timeout); err != nil {
		fmt.Fprintf(os.Stderr, "probe: %s: %v\n", flag.Arg(0), err)
		os.Exit(1)
	}
}

func probe(address string, timeout time.Duration) error {
	target, err := url.Parse(address)
	if err != nil || target.Scheme != "http" || target.Hostname() == "" {
		return errors.New("this is not an address such as http://127.0.0.1:8080/health")
	}
	port := target.Port()
	if port == "" {
		port = "80"
	}
	deadline := time.Now().Add(timeout)
	dialer := net.Dialer{Deadline: deadline}
	connection, err := dialer.Dial("tcp", net.JoinHostPort(target.Hostname(), port))
	if err != nil {
		return explain(err, timeout)
	}
	defer connection.Close()
	if err := connection.SetDeadline(deadline); err != nil {
		return err
	}
	request := "GET " + target.RequestURI() + " HTTP/1.1\r\nHost: " + target.Host +
		"\r\nUser-Agent: probe\r\nAccept: */*\r\nConnection: close\r\n\r\n"
	if _, err := io.WriteString(connection, request); err != nil {
		return explain(err, timeout)
	}
	// A status line has no reason to be long; whoever is there may not speak HTTP.
	line, err := bufio.NewReader(io.LimitReader(connection, 4096)).ReadString('\n')
	if err != nil {
		if errors.Is(err, io.EOF) {
			return errors.New("the connection ended before an HTTP answer")
		}
		return explain(err, timeout)
	}
	version, status, _ := strings.Cut(strings.TrimRight(line, "\r\n"), " ")
	if !strings.HasPrefix(version, "HTTP/1.") {
		return errors.New("the answer is not HTTP")
	}
	if code, _, _ := strings.Cut(status, " "); code != "200" {
		return fmt.Errorf("it answered %q, not 200", status)
	}
	return nil
}

// explain replaces Go's words for a timeout by the time that was waited.
func explain(err error, timeout time.Duration) error {
	var failure net.Error
	if errors.As(err, &failure) && failure.Timeout() {
		return fmt.Errorf("no answer within %s", timeout)
	}
	return err
}
