/* A qmail-queue for tests. It follows qmail-queue.c of notqmail 1.09 step by step, in its order and with its exit
 * codes; there is no trigger to pull, and no split of queue/mess.
 *
 * control/exit: a number, with which it exits at once, having read nothing.
 * control/stop: a word, and it stops there for ever: begin, message, envelope, committed. queue/stopped has its pid.
 * control/alarm: seconds, in place of a day.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define DEATH 86400
#define ADDR 1003

static char pid_name[64], mess_name[64], intd_name[64], todo_name[64];
static int made_mess, made_intd, mess_fd, intd_fd;

static void cleanup(void)
{
  if (made_intd) unlink(intd_name);
  if (made_mess) {
    if (ftruncate(mess_fd, 0)) {}
    unlink(mess_name);
  }
}

static void die(int code) { _exit(code); }
static void die_write(void) { cleanup(); die(53); }
static void die_read(void) { cleanup(); die(54); }
static void on_alarm(int sig) { (void) sig; cleanup(); die(52); }
static void on_bug(int sig) { (void) sig; die(81); }

/* What the test says, or nothing. */
static const char *told(const char *name)
{
  static char text[64];
  int fd = open(name, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  ssize_t got = read(fd, text, sizeof text - 1);
  close(fd);
  if (got < 1) return 0;
  text[got] = 0;
  return text;
}

static void stop_at(const char *word)
{
  const char *wanted = told("../control/stop");
  if (!wanted || strcmp(wanted, word)) return;
  int fd = open("stopped.new", O_WRONLY | O_CREAT, 0644);
  if (fd < 0 || dprintf(fd, "%ld", (long) getpid()) < 0 || close(fd) || rename("stopped.new", "stopped")) die(81);
  for (;;) pause();
}

static char out_buffer[8192], in_buffer[2048];
static size_t out_used, in_used, in_at;

static void flush(int fd)
{
  size_t done = 0;
  while (done < out_used) {
    ssize_t wrote = write(fd, out_buffer + done, out_used - done);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) die_write();
    done += wrote;
  }
  out_used = 0;
}

static void put(int fd, const char *bytes, size_t length)
{
  while (length) {
    size_t room = sizeof out_buffer - out_used, piece = length < room ? length : room;
    memcpy(out_buffer + out_used, bytes, piece);
    out_used += piece; bytes += piece; length -= piece;
    if (out_used == sizeof out_buffer) flush(fd);
  }
}

/* Whether there is another byte. */
static int get(int fd, char *byte)
{
  if (in_at == in_used) {
    ssize_t got;
    do got = read(fd, in_buffer, sizeof in_buffer); while (got < 0 && errno == EINTR);
    if (got < 0) die_read();
    in_used = got; in_at = 0;
    if (!got) return 0;
  }
  *byte = in_buffer[in_at++];
  return 1;
}

static void address(char letter)
{
  char byte;
  size_t length;
  put(intd_fd, &letter, 1);
  for (length = 0; length < ADDR; ++length) {
    if (!get(1, &byte)) die_read();
    put(intd_fd, &byte, 1);
    if (!byte) break;
  }
  if (length >= ADDR) { cleanup(); die(11); }
}

int main(void)
{
  char home[2048], line[256], byte;
  const char *text;
  struct stat st;
  ssize_t length = readlink("/proc/self/exe", home, sizeof home - 1);

  umask(033);
  if (length < 0) die(61);
  home[length] = 0;
  *strrchr(home, '/') = 0;
  *strrchr(home, '/') = 0;
  if (chdir(home)) die(61);
  if (chdir("queue")) die(62);
  signal(SIGPIPE, SIG_IGN);
  signal(SIGALRM, on_alarm);
  signal(SIGSEGV, on_bug);
  if ((text = told("../control/exit")) && atoi(text)) die(atoi(text));
  text = told("../control/alarm");
  alarm(text ? atoi(text) : DEATH);
  stop_at("begin");

  snprintf(pid_name, sizeof pid_name, "pid/%ld.%ld", (long) getpid(), (long) time(0));
  mess_fd = open(pid_name, O_WRONLY | O_EXCL | O_CREAT | O_CLOEXEC, 0644);
  if (mess_fd < 0) die(63);
  if (fstat(mess_fd, &st)) die(63);
  snprintf(mess_name, sizeof mess_name, "mess/%lu", (unsigned long) st.st_ino);
  snprintf(intd_name, sizeof intd_name, "intd/%lu", (unsigned long) st.st_ino);
  snprintf(todo_name, sizeof todo_name, "todo/%lu", (unsigned long) st.st_ino);
  if (link(pid_name, mess_name)) die(64);
  if (unlink(pid_name)) die(63);
  made_mess = 1;

  put(mess_fd, line, snprintf(line, sizeof line, "Received: (qmail %ld invoked by uid %ld); 1 Jan 2000 00:00:00 -0000\n",
    (long) getpid(), (long) getuid()));
  while (get(0, &byte)) {
    put(mess_fd, &byte, 1);
    put(mess_fd, in_buffer + in_at, in_used - in_at);
    in_at = in_used;
  }
  flush(mess_fd);
  if (fsync(mess_fd)) die_write();
  stop_at("message");

  intd_fd = open(intd_name, O_WRONLY | O_EXCL | O_CREAT | O_CLOEXEC, 0600);
  if (intd_fd < 0) { cleanup(); die(65); }
  made_intd = 1;
  put(intd_fd, line, snprintf(line, sizeof line, "u%ld", (long) getuid()) + 1);
  put(intd_fd, line, snprintf(line, sizeof line, "p%ld", (long) getpid()) + 1);
  if (!get(1, &byte)) die_read();
  if (byte != 'F') { cleanup(); die(91); }
  address('F');
  for (;;) {
    if (!get(1, &byte)) die_read();
    if (!byte) break;
    if (byte != 'T') { cleanup(); die(91); }
    address('T');
  }
  flush(intd_fd);
  if (fsync(intd_fd)) die_write();
  stop_at("envelope");

  if (link(intd_name, todo_name)) { cleanup(); die(66); }
  stop_at("committed");
  die(0);
}
