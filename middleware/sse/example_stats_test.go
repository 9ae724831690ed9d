package sse_test

import (
	"context"
	"fmt"

	"github.com/goceleris/celeris/middleware/sse"
)

func ExampleBroker_Lag() {
	broker, _ := sse.NewBroker(sse.BrokerConfig{}) // fails for negative settings only
	defer broker.Close(context.Background())
	lag := broker.Lag()
	if late := lag.UpTo10000 + lag.More + lag.Unknown; late > 0 {
		fmt.Printf("%d of %d subscribers are more than 1000 events behind\n", late, lag.Subscribers)
	} else {
		fmt.Println("nobody is far behind")
	}
	// Output: nobody is far behind
}
