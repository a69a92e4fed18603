/* RLIMIT_CPU: SIGXCPU once a second beyond the soft limit, SIGKILL at the hard one. */
#pragma once

struct thread_group;

/* tg has got (by setrlimit or fork) a limit of CPU time, or another one. No lock held. */
void cpu_limit_changed(struct thread_group *tg);
/* Stops watching (exit). No lock held. */
void cpu_limit_exit(struct thread_group *tg);
