// The program that runs in the containers of the tests: each argument list is one thing to do.
package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	switch arguments := os.Args[2:]; os.Args[1] {
	case "exit":
		code, _ := strconv.Atoi(arguments[0])
		os.Exit(code)
	case "print":
		fmt.Println("to stdout")
		fmt.Fprintln(os.Stderr, "to stderr")
		os.Stdout.WriteString("not \xff text\n")
		fmt.Println(strings.Repeat("x", 20000))
		fmt.Print("no newline")
	case "look":
		look(arguments)
	case "write":
		for _, path := range arguments {
			fmt.Println(path+":", outcome(os.WriteFile(path, []byte("x"), 0o644)))
		}
	case "dial":
		for _, address := range arguments {
			connection, err := net.DialTimeout("tcp", address, 2*time.Second)
			text := outcome(err)
			if err == nil {
				connection.SetDeadline(time.Now().Add(500 * time.Millisecond))
				line, _ := bufio.NewReader(connection).ReadString('\n')
				text = "connected " + strings.TrimSpace(line)
			}
			fmt.Println(address+":", text)
		}
	case "environment":
		for _, variable := range os.Environ() {
			fmt.Println(variable)
		}
	case "serve":
		serve()
	case "stubborn":
		signal.Ignore(syscall.SIGTERM, syscall.SIGINT)
		fmt.Println("ready")
		time.Sleep(time.Hour)
	case "sleep":
		fmt.Println("ready")
		time.Sleep(time.Hour)
	case "orphan":
		// A child in a session of its own, which outlives a careless supervisor.
		child, err := os.StartProcess("/proc/self/exe", []string{os.Args[0], "stubborn"},
			&os.ProcAttr{Files: []*os.File{nil, os.Stdout, nil}, Env: os.Environ(), Sys: &syscall.SysProcAttr{Setsid: true}})
		fmt.Println("child", outcome(err), child != nil)
		time.Sleep(time.Hour)
	case "eat":
		megabytes, _ := strconv.Atoi(arguments[0])
		memory := make([]byte, megabytes<<20)
		for at := 0; at < len(memory); at += 4096 {
			memory[at] = 1
		}
		fmt.Println("eaten", len(memory))
		time.Sleep(time.Hour)
	case "file":
		if _, err := os.Stat(arguments[0]); err != nil {
			os.Exit(1)
		}
	default:
		fmt.Println("unknown:", os.Args[1])
		os.Exit(99)
	}
}

func outcome(err error) string {
	if err == nil {
		return "ok"
	}
	return err.Error()
}

func look(paths []string) {
	fmt.Println("uid", os.Getuid(), "gid", os.Getgid(), "pid", os.Getpid())
	status, _ := os.ReadFile("/proc/self/status")
	for _, line := range strings.Split(string(status), "\n") {
		for _, name := range []string{"CapEff:", "CapPrm:", "CapBnd:", "NoNewPrivs:"} {
			if strings.HasPrefix(line, name) {
				fmt.Println(strings.Join(strings.Fields(line), " "))
			}
		}
	}
	cwd, _ := os.Getwd()
	host, _ := os.Hostname()
	fmt.Println("cwd", cwd, "host", host)
	entries, _ := os.ReadDir("/proc")
	var processes []string
	for _, entry := range entries {
		if _, err := strconv.Atoi(entry.Name()); err == nil {
			processes = append(processes, entry.Name())
		}
	}
	fmt.Println("processes", strings.Join(processes, " "))
	open, _ := os.ReadDir("/proc/self/fd")
	var files []string
	for _, entry := range open {
		target, err := os.Readlink("/proc/self/fd/" + entry.Name())
		if err == nil && !strings.HasPrefix(target, "/proc/") && !strings.HasPrefix(target, "anon_inode:[event") {
			files = append(files, entry.Name())
		}
	}
	fmt.Println("files", strings.Join(files, " "))
	for _, path := range paths {
		_, err := os.Stat(path)
		fmt.Println(path+":", outcome(err))
	}
}

// serve answers HTTP on $PORT (8080) until SIGTERM.
func serve() {
	port := os.Getenv("PORT")
	if port == "" {
		port = "8080"
	}
	listener, err := net.Listen("tcp", ":"+port)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	fmt.Println("listening")
	go func() {
		<-stop
		fmt.Println("bye")
		os.Exit(0)
	}()
	for {
		connection, err := listener.Accept()
		if err != nil {
			os.Exit(1)
		}
		go answer(connection)
	}
}

func answer(connection net.Conn) {
	defer connection.Close()
	reader := bufio.NewReader(connection)
	for {
		request := ""
		for {
			line, err := reader.ReadString('\n')
			if err != nil {
				return
			}
			if line == "\r\n" {
				break
			}
			request += line
		}
		status, body := "200 OK", "hello"
		if strings.HasPrefix(request, "GET /broken ") {
			status = "500 Internal Server Error"
		}
		if strings.HasPrefix(request, "GET /silent ") {
			return
		}
		if strings.HasPrefix(request, "GET /slow ") {
			time.Sleep(5 * time.Second)
		}
		fmt.Fprintf(connection, "HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s", status, len(body), body)
	}
}
