"""What answers: the HTTP gateway. It never imports torch."""
