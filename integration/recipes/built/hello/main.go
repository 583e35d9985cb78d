// Says what it is.
package main

import "fmt"

var version = "unknown"

func main() {
	fmt.Println("hello", version)
}
