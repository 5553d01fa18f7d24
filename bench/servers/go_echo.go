// SPDX-License-Identifier: MIT

// go_echo echo|large|sink: a goroutine per client.
package main

import (
	"net"
	"os"
)

const (
	small = 1024
	large = 64 * 1024
)

func serve(client net.Conn, size int, sink bool) {
	defer client.Close()
	buffer := make([]byte, size)
	for {
		n, err := client.Read(buffer)
		if err != nil {
			return
		}
		if sink {
			continue
		}
		if _, err := client.Write(buffer[:n]); err != nil {
			return
		}
	}
}

func main() {
	size, sink := large, os.Args[1] == "sink"
	if os.Args[1] == "echo" {
		size = small
	}
	listener, err := net.FileListener(os.Stdin)
	if err != nil {
		panic(err)
	}
	for {
		client, err := listener.Accept()
		if err != nil {
			panic(err)
		}
		go serve(client, size, sink)
	}
}
