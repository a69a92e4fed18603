/*
 * Every system call by name: S(name, status, note) where sys_name() serves it, F(name, error, note) where the guest
 * always gets that error, as on a Linux that forbids or lacks it, and N(name, note) where nothing does yet: ENOSYS.
 * table.c turns the list into the table and tools/compatibility.py into docs/compatibility.md. Calls that an
 * architecture does not have drop out there by themselves.
 */
/* clang-format off */
#ifdef __NR_read
S(read, SYS_FULL, "")
#endif
#ifdef __NR_write
S(write, SYS_FULL, "")
#endif
#ifdef __NR_open
S(open, SYS_FULL, "")
#endif
#ifdef __NR_close
S(close, SYS_FULL, "")
#endif
#ifdef __NR_stat
S(stat, SYS_FULL, "")
#endif
#ifdef __NR_fstat
S(fstat, SYS_FULL, "")
#endif
#ifdef __NR_lstat
S(lstat, SYS_FULL, "")
#endif
#ifdef __NR_poll
S(poll, SYS_FULL, "")
#endif
#ifdef __NR_lseek
S(lseek, SYS_FULL, "")
#endif
#ifdef __NR_mmap
S(mmap, SYS_FULL, "")
#endif
#ifdef __NR_mprotect
S(mprotect, SYS_FULL, "")
#endif
#ifdef __NR_munmap
S(munmap, SYS_FULL, "")
#endif
#ifdef __NR_brk
S(brk, SYS_FULL, "")
#endif
#ifdef __NR_rt_sigaction
S(rt_sigaction, SYS_FULL, "")
#endif
#ifdef __NR_rt_sigprocmask
S(rt_sigprocmask, SYS_FULL, "")
#endif
#ifdef __NR_rt_sigreturn
S(rt_sigreturn, SYS_FULL, "")
#endif
#ifdef __NR_ioctl
S(ioctl, SYS_FULL, "")
#endif
#ifdef __NR_pread64
S(pread64, SYS_FULL, "")
#endif
#ifdef __NR_pwrite64
S(pwrite64, SYS_FULL, "")
#endif
#ifdef __NR_readv
S(readv, SYS_FULL, "")
#endif
#ifdef __NR_writev
S(writev, SYS_FULL, "")
#endif
#ifdef __NR_access
S(access, SYS_FULL, "")
#endif
#ifdef __NR_pipe
S(pipe, SYS_FULL, "")
#endif
#ifdef __NR_select
S(select, SYS_FULL, "")
#endif
#ifdef __NR_sched_yield
S(sched_yield, SYS_FULL, "")
#endif
#ifdef __NR_mremap
S(mremap, SYS_FULL, "")
#endif
#ifdef __NR_msync
S(msync, SYS_FULL, "")
#endif
#ifdef __NR_mincore
S(mincore, SYS_FULL, "")
#endif
#ifdef __NR_madvise
S(madvise, SYS_FULL, "")
#endif
#ifdef __NR_shmget
N(shmget, "")
#endif
#ifdef __NR_shmat
N(shmat, "")
#endif
#ifdef __NR_shmctl
N(shmctl, "")
#endif
#ifdef __NR_dup
S(dup, SYS_FULL, "")
#endif
#ifdef __NR_dup2
S(dup2, SYS_FULL, "")
#endif
#ifdef __NR_pause
S(pause, SYS_FULL, "")
#endif
#ifdef __NR_nanosleep
S(nanosleep, SYS_FULL, "")
#endif
#ifdef __NR_getitimer
S(getitimer, SYS_FULL, "")
#endif
#ifdef __NR_alarm
S(alarm, SYS_FULL, "")
#endif
#ifdef __NR_setitimer
S(setitimer, SYS_PARTLY, "virtual and profiling timers both count all CPU time of the process")
#endif
#ifdef __NR_getpid
S(getpid, SYS_FULL, "")
#endif
#ifdef __NR_sendfile
S(sendfile, SYS_FULL, "")
#endif
#ifdef __NR_socket
S(socket, SYS_PARTLY, "AF_UNIX only")
#endif
#ifdef __NR_connect
S(connect, SYS_FULL, "")
#endif
#ifdef __NR_accept
S(accept, SYS_FULL, "")
#endif
#ifdef __NR_sendto
S(sendto, SYS_FULL, "")
#endif
#ifdef __NR_recvfrom
S(recvfrom, SYS_FULL, "")
#endif
#ifdef __NR_sendmsg
S(sendmsg, SYS_FULL, "")
#endif
#ifdef __NR_recvmsg
S(recvmsg, SYS_FULL, "")
#endif
#ifdef __NR_shutdown
S(shutdown, SYS_FULL, "")
#endif
#ifdef __NR_bind
S(bind, SYS_FULL, "")
#endif
#ifdef __NR_listen
S(listen, SYS_FULL, "")
#endif
#ifdef __NR_getsockname
S(getsockname, SYS_FULL, "")
#endif
#ifdef __NR_getpeername
S(getpeername, SYS_FULL, "")
#endif
#ifdef __NR_socketpair
S(socketpair, SYS_FULL, "")
#endif
#ifdef __NR_setsockopt
S(setsockopt, SYS_FULL, "")
#endif
#ifdef __NR_getsockopt
S(getsockopt, SYS_FULL, "")
#endif
#ifdef __NR_clone
S(clone, SYS_PARTLY, "no namespaces")
#endif
#ifdef __NR_fork
S(fork, SYS_FULL, "")
#endif
#ifdef __NR_vfork
S(vfork, SYS_FULL, "")
#endif
#ifdef __NR_execve
S(execve, SYS_FULL, "")
#endif
#ifdef __NR_exit
S(exit, SYS_FULL, "")
#endif
#ifdef __NR_wait4
S(wait4, SYS_PARTLY, "__WNOTHREAD waits for the whole process's children")
#endif
#ifdef __NR_kill
S(kill, SYS_FULL, "")
#endif
#ifdef __NR_uname
S(uname, SYS_FULL, "")
#endif
#ifdef __NR_semget
N(semget, "")
#endif
#ifdef __NR_semop
N(semop, "")
#endif
#ifdef __NR_semctl
N(semctl, "")
#endif
#ifdef __NR_shmdt
N(shmdt, "")
#endif
#ifdef __NR_msgget
N(msgget, "")
#endif
#ifdef __NR_msgsnd
N(msgsnd, "")
#endif
#ifdef __NR_msgrcv
N(msgrcv, "")
#endif
#ifdef __NR_msgctl
N(msgctl, "")
#endif
#ifdef __NR_fcntl
S(fcntl, SYS_PARTLY, "no leases, no F_NOTIFY")
#endif
#ifdef __NR_flock
S(flock, SYS_FULL, "")
#endif
#ifdef __NR_fsync
S(fsync, SYS_FULL, "")
#endif
#ifdef __NR_fdatasync
S(fdatasync, SYS_FULL, "")
#endif
#ifdef __NR_truncate
S(truncate, SYS_FULL, "")
#endif
#ifdef __NR_ftruncate
S(ftruncate, SYS_FULL, "")
#endif
#ifdef __NR_getdents
S(getdents, SYS_FULL, "")
#endif
#ifdef __NR_getcwd
S(getcwd, SYS_FULL, "")
#endif
#ifdef __NR_chdir
S(chdir, SYS_FULL, "")
#endif
#ifdef __NR_fchdir
S(fchdir, SYS_FULL, "")
#endif
#ifdef __NR_rename
S(rename, SYS_FULL, "")
#endif
#ifdef __NR_mkdir
S(mkdir, SYS_FULL, "")
#endif
#ifdef __NR_rmdir
S(rmdir, SYS_FULL, "")
#endif
#ifdef __NR_creat
S(creat, SYS_FULL, "")
#endif
#ifdef __NR_link
S(link, SYS_FULL, "")
#endif
#ifdef __NR_unlink
S(unlink, SYS_FULL, "")
#endif
#ifdef __NR_symlink
S(symlink, SYS_FULL, "")
#endif
#ifdef __NR_readlink
S(readlink, SYS_FULL, "")
#endif
#ifdef __NR_chmod
S(chmod, SYS_FULL, "")
#endif
#ifdef __NR_fchmod
S(fchmod, SYS_FULL, "")
#endif
#ifdef __NR_chown
S(chown, SYS_FULL, "")
#endif
#ifdef __NR_fchown
S(fchown, SYS_FULL, "")
#endif
#ifdef __NR_lchown
S(lchown, SYS_FULL, "")
#endif
#ifdef __NR_umask
S(umask, SYS_FULL, "")
#endif
#ifdef __NR_gettimeofday
S(gettimeofday, SYS_FULL, "")
#endif
#ifdef __NR_getrlimit
S(getrlimit, SYS_FULL, "")
#endif
#ifdef __NR_getrusage
S(getrusage, SYS_FULL, "")
#endif
#ifdef __NR_sysinfo
S(sysinfo, SYS_FULL, "")
#endif
#ifdef __NR_times
S(times, SYS_FULL, "")
#endif
#ifdef __NR_ptrace
N(ptrace, "debuggers work outside")
#endif
#ifdef __NR_getuid
S(getuid, SYS_FULL, "")
#endif
#ifdef __NR_syslog
S(syslog, SYS_PARTLY, "always EPERM: the kernel log is not shown")
#endif
#ifdef __NR_getgid
S(getgid, SYS_FULL, "")
#endif
#ifdef __NR_setuid
S(setuid, SYS_FULL, "")
#endif
#ifdef __NR_setgid
S(setgid, SYS_FULL, "")
#endif
#ifdef __NR_geteuid
S(geteuid, SYS_FULL, "")
#endif
#ifdef __NR_getegid
S(getegid, SYS_FULL, "")
#endif
#ifdef __NR_setpgid
S(setpgid, SYS_FULL, "")
#endif
#ifdef __NR_getppid
S(getppid, SYS_FULL, "")
#endif
#ifdef __NR_getpgrp
S(getpgrp, SYS_FULL, "")
#endif
#ifdef __NR_setsid
S(setsid, SYS_FULL, "")
#endif
#ifdef __NR_setreuid
S(setreuid, SYS_FULL, "")
#endif
#ifdef __NR_setregid
S(setregid, SYS_FULL, "")
#endif
#ifdef __NR_getgroups
S(getgroups, SYS_FULL, "")
#endif
#ifdef __NR_setgroups
S(setgroups, SYS_FULL, "")
#endif
#ifdef __NR_setresuid
S(setresuid, SYS_FULL, "")
#endif
#ifdef __NR_getresuid
S(getresuid, SYS_FULL, "")
#endif
#ifdef __NR_setresgid
S(setresgid, SYS_FULL, "")
#endif
#ifdef __NR_getresgid
S(getresgid, SYS_FULL, "")
#endif
#ifdef __NR_getpgid
S(getpgid, SYS_FULL, "")
#endif
#ifdef __NR_setfsuid
S(setfsuid, SYS_FULL, "")
#endif
#ifdef __NR_setfsgid
S(setfsgid, SYS_FULL, "")
#endif
#ifdef __NR_getsid
S(getsid, SYS_FULL, "")
#endif
#ifdef __NR_capget
S(capget, SYS_FULL, "")
#endif
#ifdef __NR_capset
S(capset, SYS_FULL, "")
#endif
#ifdef __NR_rt_sigpending
S(rt_sigpending, SYS_FULL, "")
#endif
#ifdef __NR_rt_sigtimedwait
S(rt_sigtimedwait, SYS_FULL, "")
#endif
#ifdef __NR_rt_sigqueueinfo
S(rt_sigqueueinfo, SYS_FULL, "")
#endif
#ifdef __NR_rt_sigsuspend
S(rt_sigsuspend, SYS_FULL, "")
#endif
#ifdef __NR_sigaltstack
S(sigaltstack, SYS_FULL, "")
#endif
#ifdef __NR_utime
S(utime, SYS_FULL, "")
#endif
#ifdef __NR_mknod
S(mknod, SYS_FULL, "")
#endif
#ifdef __NR_uselib
N(uselib, "gone from Linux")
#endif
#ifdef __NR_personality
S(personality, SYS_FULL, "")
#endif
#ifdef __NR_ustat
N(ustat, "")
#endif
#ifdef __NR_statfs
S(statfs, SYS_FULL, "")
#endif
#ifdef __NR_fstatfs
S(fstatfs, SYS_FULL, "")
#endif
#ifdef __NR_sysfs
N(sysfs, "")
#endif
#ifdef __NR_getpriority
S(getpriority, SYS_FULL, "")
#endif
#ifdef __NR_setpriority
S(setpriority, SYS_FULL, "")
#endif
#ifdef __NR_sched_setparam
S(sched_setparam, SYS_FULL, "")
#endif
#ifdef __NR_sched_getparam
S(sched_getparam, SYS_FULL, "")
#endif
#ifdef __NR_sched_setscheduler
S(sched_setscheduler, SYS_FULL, "")
#endif
#ifdef __NR_sched_getscheduler
S(sched_getscheduler, SYS_FULL, "")
#endif
#ifdef __NR_sched_get_priority_max
S(sched_get_priority_max, SYS_FULL, "")
#endif
#ifdef __NR_sched_get_priority_min
S(sched_get_priority_min, SYS_FULL, "")
#endif
#ifdef __NR_sched_rr_get_interval
S(sched_rr_get_interval, SYS_FULL, "")
#endif
#ifdef __NR_mlock
S(mlock, SYS_FULL, "")
#endif
#ifdef __NR_munlock
S(munlock, SYS_FULL, "")
#endif
#ifdef __NR_mlockall
S(mlockall, SYS_FULL, "")
#endif
#ifdef __NR_munlockall
S(munlockall, SYS_FULL, "")
#endif
#ifdef __NR_vhangup
F(vhangup, EPERM, "")
#endif
#ifdef __NR_modify_ldt
N(modify_ldt, "")
#endif
#ifdef __NR_pivot_root
F(pivot_root, EPERM, "chroot works")
#endif
#ifdef __NR__sysctl
N(_sysctl, "gone from Linux")
#endif
#ifdef __NR_prctl
S(prctl, SYS_PARTLY, "common options; no seccomp filters, no PR_SET_MM")
#endif
#ifdef __NR_arch_prctl
S(arch_prctl, SYS_PARTLY, "segment bases only")
#endif
#ifdef __NR_adjtimex
S(adjtimex, SYS_PARTLY, "reading only; changes are EPERM: the time is the host's")
#endif
#ifdef __NR_setrlimit
S(setrlimit, SYS_FULL, "")
#endif
#ifdef __NR_chroot
S(chroot, SYS_FULL, "")
#endif
#ifdef __NR_sync
S(sync, SYS_FULL, "")
#endif
#ifdef __NR_acct
F(acct, EPERM, "no process accounting")
#endif
#ifdef __NR_settimeofday
S(settimeofday, SYS_FULL, "always EPERM: the time is the host's")
#endif
#ifdef __NR_mount
S(mount, SYS_PARTLY, "tmpfs, proc, sysfs, bind, remount, move; no propagation")
#endif
#ifdef __NR_umount2
S(umount2, SYS_PARTLY, "no MNT_EXPIRE")
#endif
#ifdef __NR_swapon
F(swapon, EPERM, "the machine is not the guest's")
#endif
#ifdef __NR_swapoff
F(swapoff, EPERM, "the machine is not the guest's")
#endif
#ifdef __NR_reboot
F(reboot, EPERM, "the machine is not the guest's")
#endif
#ifdef __NR_sethostname
S(sethostname, SYS_FULL, "")
#endif
#ifdef __NR_setdomainname
S(setdomainname, SYS_FULL, "")
#endif
#ifdef __NR_iopl
F(iopl, EPERM, "no I/O ports")
#endif
#ifdef __NR_ioperm
F(ioperm, EPERM, "no I/O ports")
#endif
#ifdef __NR_create_module
N(create_module, "gone from Linux")
#endif
#ifdef __NR_init_module
F(init_module, EPERM, "no kernel modules")
#endif
#ifdef __NR_delete_module
F(delete_module, EPERM, "no kernel modules")
#endif
#ifdef __NR_get_kernel_syms
N(get_kernel_syms, "gone from Linux")
#endif
#ifdef __NR_query_module
N(query_module, "gone from Linux")
#endif
#ifdef __NR_quotactl
F(quotactl, EPERM, "no quotas")
#endif
#ifdef __NR_nfsservctl
N(nfsservctl, "gone from Linux")
#endif
#ifdef __NR_getpmsg
N(getpmsg, "never in Linux")
#endif
#ifdef __NR_putpmsg
N(putpmsg, "never in Linux")
#endif
#ifdef __NR_afs_syscall
N(afs_syscall, "never in Linux")
#endif
#ifdef __NR_tuxcall
N(tuxcall, "never in Linux")
#endif
#ifdef __NR_security
N(security, "never in Linux")
#endif
#ifdef __NR_gettid
S(gettid, SYS_FULL, "")
#endif
#ifdef __NR_readahead
S(readahead, SYS_FULL, "")
#endif
#ifdef __NR_setxattr
S(setxattr, SYS_FULL, "")
#endif
#ifdef __NR_lsetxattr
S(lsetxattr, SYS_FULL, "")
#endif
#ifdef __NR_fsetxattr
S(fsetxattr, SYS_FULL, "")
#endif
#ifdef __NR_getxattr
S(getxattr, SYS_FULL, "")
#endif
#ifdef __NR_lgetxattr
S(lgetxattr, SYS_FULL, "")
#endif
#ifdef __NR_fgetxattr
S(fgetxattr, SYS_FULL, "")
#endif
#ifdef __NR_listxattr
S(listxattr, SYS_FULL, "")
#endif
#ifdef __NR_llistxattr
S(llistxattr, SYS_FULL, "")
#endif
#ifdef __NR_flistxattr
S(flistxattr, SYS_FULL, "")
#endif
#ifdef __NR_removexattr
S(removexattr, SYS_FULL, "")
#endif
#ifdef __NR_lremovexattr
S(lremovexattr, SYS_FULL, "")
#endif
#ifdef __NR_fremovexattr
S(fremovexattr, SYS_FULL, "")
#endif
#ifdef __NR_tkill
S(tkill, SYS_FULL, "")
#endif
#ifdef __NR_time
S(time, SYS_FULL, "")
#endif
#ifdef __NR_futex
S(futex, SYS_PARTLY, "no priority inheritance (FUTEX_LOCK_PI and its kin)")
#endif
#ifdef __NR_sched_setaffinity
S(sched_setaffinity, SYS_FULL, "")
#endif
#ifdef __NR_sched_getaffinity
S(sched_getaffinity, SYS_FULL, "")
#endif
#ifdef __NR_set_thread_area
N(set_thread_area, "32-bit only")
#endif
#ifdef __NR_io_setup
N(io_setup, "no asynchronous I/O")
#endif
#ifdef __NR_io_destroy
N(io_destroy, "no asynchronous I/O")
#endif
#ifdef __NR_io_getevents
N(io_getevents, "no asynchronous I/O")
#endif
#ifdef __NR_io_submit
N(io_submit, "no asynchronous I/O")
#endif
#ifdef __NR_io_cancel
N(io_cancel, "no asynchronous I/O")
#endif
#ifdef __NR_get_thread_area
N(get_thread_area, "32-bit only")
#endif
#ifdef __NR_lookup_dcookie
F(lookup_dcookie, EPERM, "")
#endif
#ifdef __NR_epoll_create
S(epoll_create, SYS_FULL, "")
#endif
#ifdef __NR_epoll_ctl_old
N(epoll_ctl_old, "never in Linux")
#endif
#ifdef __NR_epoll_wait_old
N(epoll_wait_old, "never in Linux")
#endif
#ifdef __NR_remap_file_pages
N(remap_file_pages, "use mmap")
#endif
#ifdef __NR_getdents64
S(getdents64, SYS_FULL, "")
#endif
#ifdef __NR_set_tid_address
S(set_tid_address, SYS_FULL, "")
#endif
#ifdef __NR_restart_syscall
S(restart_syscall, SYS_FULL, "")
#endif
#ifdef __NR_semtimedop
N(semtimedop, "")
#endif
#ifdef __NR_fadvise64
S(fadvise64, SYS_FULL, "")
#endif
#ifdef __NR_timer_create
S(timer_create, SYS_FULL, "")
#endif
#ifdef __NR_timer_settime
S(timer_settime, SYS_FULL, "")
#endif
#ifdef __NR_timer_gettime
S(timer_gettime, SYS_FULL, "")
#endif
#ifdef __NR_timer_getoverrun
S(timer_getoverrun, SYS_FULL, "")
#endif
#ifdef __NR_timer_delete
S(timer_delete, SYS_FULL, "")
#endif
#ifdef __NR_clock_settime
S(clock_settime, SYS_FULL, "always EPERM: the time is the host's")
#endif
#ifdef __NR_clock_gettime
S(clock_gettime, SYS_FULL, "")
#endif
#ifdef __NR_clock_getres
S(clock_getres, SYS_FULL, "")
#endif
#ifdef __NR_clock_nanosleep
S(clock_nanosleep, SYS_PARTLY, "a change of the host's time does not move an absolute sleep")
#endif
#ifdef __NR_exit_group
S(exit_group, SYS_FULL, "")
#endif
#ifdef __NR_epoll_wait
S(epoll_wait, SYS_FULL, "")
#endif
#ifdef __NR_epoll_ctl
S(epoll_ctl, SYS_FULL, "")
#endif
#ifdef __NR_tgkill
S(tgkill, SYS_FULL, "")
#endif
#ifdef __NR_utimes
S(utimes, SYS_FULL, "")
#endif
#ifdef __NR_vserver
N(vserver, "never in Linux")
#endif
#ifdef __NR_mbind
N(mbind, "no NUMA")
#endif
#ifdef __NR_set_mempolicy
N(set_mempolicy, "no NUMA")
#endif
#ifdef __NR_get_mempolicy
N(get_mempolicy, "no NUMA")
#endif
#ifdef __NR_mq_open
N(mq_open, "")
#endif
#ifdef __NR_mq_unlink
N(mq_unlink, "")
#endif
#ifdef __NR_mq_timedsend
N(mq_timedsend, "")
#endif
#ifdef __NR_mq_timedreceive
N(mq_timedreceive, "")
#endif
#ifdef __NR_mq_notify
N(mq_notify, "")
#endif
#ifdef __NR_mq_getsetattr
N(mq_getsetattr, "")
#endif
#ifdef __NR_kexec_load
F(kexec_load, EPERM, "the machine is not the guest's")
#endif
#ifdef __NR_waitid
S(waitid, SYS_FULL, "")
#endif
#ifdef __NR_add_key
N(add_key, "no key rings")
#endif
#ifdef __NR_request_key
N(request_key, "no key rings")
#endif
#ifdef __NR_keyctl
N(keyctl, "no key rings")
#endif
#ifdef __NR_ioprio_set
S(ioprio_set, SYS_FULL, "")
#endif
#ifdef __NR_ioprio_get
S(ioprio_get, SYS_FULL, "")
#endif
#ifdef __NR_inotify_init
S(inotify_init, SYS_FULL, "")
#endif
#ifdef __NR_inotify_add_watch
S(inotify_add_watch, SYS_FULL, "")
#endif
#ifdef __NR_inotify_rm_watch
S(inotify_rm_watch, SYS_FULL, "")
#endif
#ifdef __NR_migrate_pages
F(migrate_pages, EPERM, "no NUMA")
#endif
#ifdef __NR_openat
S(openat, SYS_FULL, "")
#endif
#ifdef __NR_mkdirat
S(mkdirat, SYS_FULL, "")
#endif
#ifdef __NR_mknodat
S(mknodat, SYS_FULL, "")
#endif
#ifdef __NR_fchownat
S(fchownat, SYS_FULL, "")
#endif
#ifdef __NR_futimesat
S(futimesat, SYS_FULL, "")
#endif
#ifdef __NR_newfstatat
S(newfstatat, SYS_FULL, "")
#endif
#ifdef __NR_unlinkat
S(unlinkat, SYS_FULL, "")
#endif
#ifdef __NR_renameat
S(renameat, SYS_FULL, "")
#endif
#ifdef __NR_linkat
S(linkat, SYS_FULL, "")
#endif
#ifdef __NR_symlinkat
S(symlinkat, SYS_FULL, "")
#endif
#ifdef __NR_readlinkat
S(readlinkat, SYS_FULL, "")
#endif
#ifdef __NR_fchmodat
S(fchmodat, SYS_FULL, "")
#endif
#ifdef __NR_faccessat
S(faccessat, SYS_FULL, "")
#endif
#ifdef __NR_pselect6
S(pselect6, SYS_FULL, "")
#endif
#ifdef __NR_ppoll
S(ppoll, SYS_FULL, "")
#endif
#ifdef __NR_unshare
S(unshare, SYS_PARTLY, "files and file system context; no namespaces")
#endif
#ifdef __NR_set_robust_list
S(set_robust_list, SYS_FULL, "")
#endif
#ifdef __NR_get_robust_list
S(get_robust_list, SYS_FULL, "")
#endif
#ifdef __NR_splice
S(splice, SYS_FULL, "")
#endif
#ifdef __NR_tee
S(tee, SYS_FULL, "")
#endif
#ifdef __NR_sync_file_range
S(sync_file_range, SYS_FULL, "")
#endif
#ifdef __NR_vmsplice
S(vmsplice, SYS_FULL, "")
#endif
#ifdef __NR_move_pages
F(move_pages, EPERM, "no NUMA")
#endif
#ifdef __NR_utimensat
S(utimensat, SYS_FULL, "")
#endif
#ifdef __NR_epoll_pwait
S(epoll_pwait, SYS_FULL, "")
#endif
#ifdef __NR_signalfd
S(signalfd, SYS_FULL, "")
#endif
#ifdef __NR_timerfd_create
S(timerfd_create, SYS_FULL, "")
#endif
#ifdef __NR_eventfd
S(eventfd, SYS_FULL, "")
#endif
#ifdef __NR_fallocate
S(fallocate, SYS_FULL, "")
#endif
#ifdef __NR_timerfd_settime
S(timerfd_settime, SYS_FULL, "")
#endif
#ifdef __NR_timerfd_gettime
S(timerfd_gettime, SYS_FULL, "")
#endif
#ifdef __NR_accept4
S(accept4, SYS_FULL, "")
#endif
#ifdef __NR_signalfd4
S(signalfd4, SYS_FULL, "")
#endif
#ifdef __NR_eventfd2
S(eventfd2, SYS_FULL, "")
#endif
#ifdef __NR_epoll_create1
S(epoll_create1, SYS_FULL, "")
#endif
#ifdef __NR_dup3
S(dup3, SYS_FULL, "")
#endif
#ifdef __NR_pipe2
S(pipe2, SYS_FULL, "")
#endif
#ifdef __NR_inotify_init1
S(inotify_init1, SYS_FULL, "")
#endif
#ifdef __NR_preadv
S(preadv, SYS_FULL, "")
#endif
#ifdef __NR_pwritev
S(pwritev, SYS_FULL, "")
#endif
#ifdef __NR_rt_tgsigqueueinfo
S(rt_tgsigqueueinfo, SYS_FULL, "")
#endif
#ifdef __NR_perf_event_open
F(perf_event_open, EPERM, "")
#endif
#ifdef __NR_recvmmsg
S(recvmmsg, SYS_FULL, "")
#endif
#ifdef __NR_fanotify_init
F(fanotify_init, EPERM, "")
#endif
#ifdef __NR_fanotify_mark
F(fanotify_mark, EPERM, "")
#endif
#ifdef __NR_prlimit64
S(prlimit64, SYS_FULL, "")
#endif
#ifdef __NR_name_to_handle_at
F(name_to_handle_at, EOPNOTSUPP, "no file handles")
#endif
#ifdef __NR_open_by_handle_at
F(open_by_handle_at, EPERM, "no file handles")
#endif
#ifdef __NR_clock_adjtime
S(clock_adjtime, SYS_PARTLY, "reading only; changes are EPERM: the time is the host's")
#endif
#ifdef __NR_syncfs
S(syncfs, SYS_FULL, "")
#endif
#ifdef __NR_sendmmsg
S(sendmmsg, SYS_FULL, "")
#endif
#ifdef __NR_setns
F(setns, EPERM, "one namespace of each kind")
#endif
#ifdef __NR_getcpu
S(getcpu, SYS_PARTLY, "the first CPU of the affinity mask")
#endif
#ifdef __NR_process_vm_readv
S(process_vm_readv, SYS_FULL, "")
#endif
#ifdef __NR_process_vm_writev
S(process_vm_writev, SYS_FULL, "")
#endif
#ifdef __NR_kcmp
S(kcmp, SYS_FULL, "")
#endif
#ifdef __NR_finit_module
F(finit_module, EPERM, "no kernel modules")
#endif
#ifdef __NR_sched_setattr
S(sched_setattr, SYS_FULL, "")
#endif
#ifdef __NR_sched_getattr
S(sched_getattr, SYS_FULL, "")
#endif
#ifdef __NR_renameat2
S(renameat2, SYS_FULL, "")
#endif
#ifdef __NR_seccomp
N(seccomp, "")
#endif
#ifdef __NR_getrandom
S(getrandom, SYS_FULL, "")
#endif
#ifdef __NR_memfd_create
S(memfd_create, SYS_PARTLY, "no MFD_HUGETLB")
#endif
#ifdef __NR_kexec_file_load
F(kexec_file_load, EPERM, "the machine is not the guest's")
#endif
#ifdef __NR_bpf
F(bpf, EPERM, "")
#endif
#ifdef __NR_execveat
S(execveat, SYS_FULL, "")
#endif
#ifdef __NR_userfaultfd
F(userfaultfd, EPERM, "")
#endif
#ifdef __NR_membarrier
S(membarrier, SYS_PARTLY, "private expedited barriers only")
#endif
#ifdef __NR_mlock2
S(mlock2, SYS_FULL, "")
#endif
#ifdef __NR_copy_file_range
S(copy_file_range, SYS_FULL, "")
#endif
#ifdef __NR_preadv2
S(preadv2, SYS_FULL, "")
#endif
#ifdef __NR_pwritev2
S(pwritev2, SYS_FULL, "")
#endif
#ifdef __NR_pkey_mprotect
N(pkey_mprotect, "")
#endif
#ifdef __NR_pkey_alloc
N(pkey_alloc, "")
#endif
#ifdef __NR_pkey_free
N(pkey_free, "")
#endif
#ifdef __NR_statx
S(statx, SYS_FULL, "")
#endif
#ifdef __NR_io_pgetevents
N(io_pgetevents, "no asynchronous I/O")
#endif
#ifdef __NR_rseq
N(rseq, "libraries go on without")
#endif
#ifdef __NR_pidfd_send_signal
S(pidfd_send_signal, SYS_FULL, "")
#endif
#ifdef __NR_io_uring_setup
N(io_uring_setup, "no asynchronous I/O")
#endif
#ifdef __NR_io_uring_enter
N(io_uring_enter, "no asynchronous I/O")
#endif
#ifdef __NR_io_uring_register
N(io_uring_register, "no asynchronous I/O")
#endif
#ifdef __NR_open_tree
N(open_tree, "use mount")
#endif
#ifdef __NR_move_mount
N(move_mount, "use mount")
#endif
#ifdef __NR_fsopen
N(fsopen, "use mount")
#endif
#ifdef __NR_fsconfig
N(fsconfig, "use mount")
#endif
#ifdef __NR_fsmount
N(fsmount, "use mount")
#endif
#ifdef __NR_fspick
N(fspick, "use mount")
#endif
#ifdef __NR_pidfd_open
S(pidfd_open, SYS_FULL, "")
#endif
#ifdef __NR_clone3
S(clone3, SYS_PARTLY, "no namespaces")
#endif
#ifdef __NR_close_range
S(close_range, SYS_FULL, "")
#endif
#ifdef __NR_openat2
S(openat2, SYS_PARTLY, "RESOLVE_CACHED is always EAGAIN")
#endif
#ifdef __NR_pidfd_getfd
S(pidfd_getfd, SYS_FULL, "")
#endif
#ifdef __NR_faccessat2
S(faccessat2, SYS_FULL, "")
#endif
#ifdef __NR_process_madvise
N(process_madvise, "")
#endif
#ifdef __NR_epoll_pwait2
S(epoll_pwait2, SYS_FULL, "")
#endif
#ifdef __NR_mount_setattr
N(mount_setattr, "use mount")
#endif
#ifdef __NR_quotactl_fd
F(quotactl_fd, EPERM, "no quotas")
#endif
#ifdef __NR_landlock_create_ruleset
N(landlock_create_ruleset, "")
#endif
#ifdef __NR_landlock_add_rule
N(landlock_add_rule, "")
#endif
#ifdef __NR_landlock_restrict_self
N(landlock_restrict_self, "")
#endif
#ifdef __NR_memfd_secret
N(memfd_secret, "")
#endif
#ifdef __NR_process_mrelease
N(process_mrelease, "")
#endif
#ifdef __NR_futex_waitv
S(futex_waitv, SYS_FULL, "")
#endif
#ifdef __NR_set_mempolicy_home_node
N(set_mempolicy_home_node, "no NUMA")
#endif
