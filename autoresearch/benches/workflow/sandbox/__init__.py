"""Commands of an agent, confined by the kernel: Landlock, seccomp, resource limits, and a supervisor that ends them."""
