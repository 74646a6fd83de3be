/* The least that a program in front of qmail-queue can do: it takes message and envelope in, and becomes the real
 * one with both on its descriptors 0 and 1. */
#define _GNU_SOURCE
#include <sys/mman.h>
#include <unistd.h>

static void slurp(int from)
{
  static char buffer[65536];
  ssize_t got;
  int to = memfd_create("slurp", MFD_CLOEXEC);
  while ((got = read(from, buffer, sizeof buffer)) > 0)
    if (write(to, buffer, got) != got) _exit(53);
  if (got < 0 || lseek(to, 0, SEEK_SET) || dup2(to, from) != from) _exit(54);
}

int main(void)
{
  slurp(0);
  slurp(1);
  execl("bin/qmail-queue.orig", "qmail-queue", (char *) 0);
  _exit(120);
}
