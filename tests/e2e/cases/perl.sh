#!/bin/sh
# needs: perl
# size: quick
cat > work.pl <<'PERL'
# perl: processes, pipes, signals, files, directories, locks, sockets between processes.
use strict; use warnings; use Fcntl qw(:flock :seek SEEK_SET O_RDWR O_CREAT); use POSIX qw(:sys_wait_h :signal_h floor);
use File::Find; use File::Temp qw(tempdir tempfile); use File::Path; use File::Copy; use IPC::Open3; use IO::Select; use Socket;
use Storable qw(store retrieve); use Time::HiRes qw(usleep alarm); use Digest::SHA qw(sha256_hex); use Data::Dumper; use List::Util qw(sum);
$| = 1; $Data::Dumper::Sortkeys = 1; $Data::Dumper::Indent = 1;
print "== processes\n";
my $pid = fork // die; exit 7 unless $pid; waitpid $pid, 0; print "child: ", $? >> 8, "\n";
print "system: ", system("exit 3") >> 8, "\n"; print "backquotes: ", `echo hi; echo there`;
open my $in, "-|", "seq", 3 or die; print map { "got $_" } <$in>; close $in; open my $out, "|-", "sort -r" or die; print $out "a\nb\n"; close $out;
my $p3 = open3(my $w, my $r, undef, "cat; echo err >&2; exit 4"); print $w "to cat\n"; close $w; print sort <$r>; waitpid $p3, 0; print "open3: ", $? >> 8, "\n";
my @kids = map { my $n = $_; my $k = fork; unless ($k) { usleep 1000 * $n; exit $n } $k } 1 .. 5; my %st; while ((my $k = wait) > 0) { $st{$k} = $? >> 8 } print join(",", map { $st{$_} } @kids), "\n";
exec "true" unless $pid = fork; waitpid $pid, 0; print "exec: $?\n"; kill TERM => ($pid = fork || do { sleep 20; exit }); waitpid $pid, 0; print "signal: ", $? & 127, "\n";
print "== signals\n";
my @seen; $SIG{$_} = do { my $s = $_; sub { push @seen, $s } } for qw(USR1 USR2 HUP); kill $_ => $$ for qw(USR1 USR2 HUP); print "@seen\n";
eval { local $SIG{ALRM} = sub { die "alarm\n" }; alarm 0.1; select undef, undef, undef, 5; }; print "died: $@";
my $set = POSIX::SigSet->new(SIGUSR1); sigprocmask(SIG_BLOCK, $set); kill USR1 => $$; print scalar(@seen), "\n"; sigprocmask(SIG_UNBLOCK, $set); print scalar(@seen), "\n";
{ local $SIG{PIPE} = sub { print "SIGPIPE\n" }; pipe my $a, my $b; close $a; print((syswrite($b, "x") // "undef: $!") . "\n"); }
print "== files\n";
my $dir = tempdir(CLEANUP => 1); my ($fh, $name) = tempfile(DIR => $dir); print $fh "line $_\n" for 1 .. 1000; close $fh; print -s $name, "\n";
open $fh, "+<", $name; seek $fh, 5000, SEEK_SET; read $fh, my $buf, 20; print $buf =~ s/\n/|/gr, "\n"; truncate $fh, 100; close $fh; print -s $name, "\n";
mkpath "$dir/a/b/c"; copy $name, "$dir/a/copy"; move "$dir/a/copy", "$dir/a/b/moved"; symlink "moved", "$dir/a/b/link"; link $name, "$dir/hard"; print readlink("$dir/a/b/link"), " ", (stat "$dir/hard")[3], "\n";
my @names; find({ wanted => sub { push @names, $File::Find::name =~ s/^\Q$dir\E//r }, no_chdir => 1 }, $dir); print scalar(@names), " ", join(",", sort grep m{^/a}, @names), "\n";
opendir my $d, "$dir/a/b"; print join(",", sort readdir $d), "\n"; rewinddir $d; print scalar(() = readdir $d), "\n"; utime 1000, 2000, $name; print join(",", (stat $name)[8, 9]), "\n"; chmod 0640, $name; printf "%o\n", (stat _)[2] & 0777;
open my $l1, ">", "$dir/lock"; print flock($l1, LOCK_EX) ? "locked\n" : "no\n"; $pid = fork // die; unless ($pid) { open my $l2, ">", "$dir/lock"; exit(flock($l2, LOCK_EX | LOCK_NB) ? 1 : 0) } waitpid $pid, 0; print "other: $?\n";
store { list => [1 .. 5], h => { a => 1 } }, "$dir/st"; print Dumper(retrieve("$dir/st")); print sha256_hex("sbox"), "\n"; rmtree "$dir/a"; print -e "$dir/a" ? "there\n" : "gone\n"; print open(my $no, "<", "$dir/none") ? "" : "$!\n";
print "== select\n";
pipe my $pr, my $pw; my $sel = IO::Select->new($pr); print scalar($sel->can_read(0)), "\n"; syswrite $pw, "x" x 10; print scalar($sel->can_read(1)), "\n"; print "selected\n";
print "== data\n"; my %c; $c{length $_}++ for split /\W+/, "the quick brown fox jumps over the lazy dog"; print join(" ", map { "$_:$c{$_}" } sort keys %c), "\n"; print sum(1 .. 100), " ", sprintf("%.10f %e %s", atan2(1, 1) * 4, 1e100, 1e15), "\n"; my @s = sort { $a <=> $b } map { ($_ * 7919) % 1009 } 1 .. 500; print "$s[0] $s[-1]\n"; local $_ = "a1b22c333"; print join(",", /(\d+)/g), "\n"; print scalar reverse("sbox"), " ", ucfirst lc "HELLO", "\n";
PERL
perl work.pl
