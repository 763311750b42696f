"""What the benchmarks share; nothing here answers a question.

    places              where the datasets lie
    results             where figures go, and what machine they were measured on
    timing, memory      what something takes
    stack, ports        a whole Expunge, for requests over HTTP
    contenders          other ways to per-sample squared gradients

`fetch_fashion_mnist` and `fetch_cifar10` get the data: `make data` and `make data-cifar10`.
"""
