/* Plays a program of qmail's that calls qmail-queue, as qmail.c does it: its descriptors, its working directory, its
 * real uid. What is in the environment is the test's.
 *
 * usage: caller KIND UID HOME PROGRAM MESSAGE ENVELOPE ERRFD
 *
 * KIND: smtpd, inject, local, send. ERRFD: the descriptor on which the caller takes text of qmail-queue's own, or 0.
 * Says what became of it on its standard output: "exit CODE TEXT", or "signal NUMBER"; and "spilt on pipe N" when
 * something was written to a descriptor that is the caller's own.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

static int watched[8], watching;

static void die(const char *what) { dprintf(100, "caller: %s: %s\n", what, strerror(errno)); _exit(111); }

static void move(int from, int to)
{
  if (from == to) return;
  if (dup2(from, to) != to) die("dup2");
  close(from);
}

/* A pipe whose writing end is at NUMBER; its reading end is watched. */
static void pipe_at(int number)
{
  int ends[2];
  if (pipe(ends)) die("pipe");
  int high = fcntl(ends[0], F_DUPFD_CLOEXEC, 50);
  close(ends[0]);
  move(ends[1], number);
  fcntl(high, F_SETFL, O_NONBLOCK);
  watched[watching++] = high;
}

static int writes(int to, const char *path)
{
  static char buffer[65536];
  ssize_t got;
  int from = open(path, O_RDONLY | O_CLOEXEC);
  if (from < 0) die(path);
  while ((got = read(from, buffer, sizeof buffer)) > 0)
    for (ssize_t done = 0; done < got;) {
      ssize_t wrote = write(to, buffer + done, got - done);
      if (wrote < 0) { close(from); return 0; }
      done += wrote;
    }
  close(from);
  return 1;
}

int main(int argc, char **argv)
{
  char text[1024];
  int message[2], envelope[2], errors[2], status, used = 0;
  if (argc != 8) _exit(100);
  const char *kind = argv[1], *home = argv[3];
  uid_t uid = atoi(argv[2]);
  int error_fd = atoi(argv[7]);

  signal(SIGPIPE, SIG_IGN);
  dup2(1, 100);
  fcntl(100, F_SETFD, FD_CLOEXEC);
  for (int fd = 3; fd < 100; ++fd) close(fd);
  close(0); close(1);
  if (open("/dev/null", O_RDONLY) != 0) die("/dev/null");
  if (!strcmp(kind, "send")) {
    /* qmail-send: logs on 0, speaks with qmail-lspawn, qmail-rspawn and qmail-clean on 1 to 6. */
    for (int fd = 1; fd <= 5; ++fd) pipe_at(fd);
    move(open("/dev/null", O_RDONLY), 6);
    move(open("/dev/null", O_WRONLY), 7);
    flock(7, LOCK_EX);
    move(open("/dev/null", O_RDONLY | O_NONBLOCK), 8);
  } else {
    /* The others have what they inherited: a log, or a terminal, on 2. */
    pipe_at(1);
    pipe_at(2);
  }
  if (chdir(home)) die(home);
  if (getuid() == 0 && (setgroups(0, 0) || setgid(uid) || setuid(uid))) die("setuid");

  /* qmail_open() */
  if (pipe2(message, O_CLOEXEC) || pipe2(envelope, O_CLOEXEC)) die("pipe");
  if (error_fd && pipe2(errors, O_CLOEXEC)) die("pipe");
  pid_t child = fork();
  if (child < 0) die("fork");
  if (!child) {
    /* Those that lie where others go are first put out of the way. */
    int in = fcntl(message[0], F_DUPFD, 60), to = fcntl(envelope[0], F_DUPFD, 60);
    int out = error_fd ? fcntl(errors[1], F_DUPFD, 60) : -1;
    move(in, 0);
    move(to, 1);
    if (error_fd) move(out, error_fd);
    execl(argv[4], argv[4], (char *) 0);
    _exit(120);
  }
  close(message[0]); close(envelope[0]);
  if (error_fd) close(errors[1]);

  /* qmail_put(), qmail_from(), qmail_to(), qmail_close() */
  writes(message[1], argv[5]);
  close(message[1]);
  writes(envelope[1], argv[6]);
  close(envelope[1]);
  if (error_fd)
    for (;;) {
      ssize_t got = read(errors[0], text + used, sizeof text - 1 - used);
      if (got <= 0) break;
      used += got;
    }
  text[used] = 0;
  if (waitpid(child, &status, 0) != child) die("waitpid");
  if (WIFSIGNALED(status)) dprintf(100, "signal %d", WTERMSIG(status));
  else dprintf(100, "exit %d %s", WEXITSTATUS(status), text);
  for (int n = 0; n < watching; ++n) {
    char byte;
    if (read(watched[n], &byte, 1) == 1) dprintf(100, "\nspilt on pipe %d", n + 1);
  }
  _exit(0);
}
