// A line client on golang.org/x/net/websocket, which knows no compression.
package main

import (
	"bufio"
	"fmt"
	"log"
	"os"

	"golang.org/x/net/websocket"
)

func main() {
	url, origin := os.Args[1], os.Args[2]
	connection, err := websocket.Dial(url, "", origin)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("open")
	go func() {
		for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
			if err := websocket.Message.Send(connection, lines.Text()); err != nil {
				log.Fatal(err)
			}
		}
		connection.WriteClose(1000)
	}()
	for {
		var message string
		if websocket.Message.Receive(connection, &message) != nil {
			break
		}
		fmt.Println("message", message)
	}
	// The library does not report the code.
	fmt.Println("closed")
}
