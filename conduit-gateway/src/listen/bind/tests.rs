use super::*;

fn unix(folder: &tempfile::TempDir) -> (ListenAddress, PathBuf, ClientConfig) {
    let path = folder.path().join("m.sock");
    let address = ListenAddress::Unix(path.clone());
    let mut config = ClientConfig::new(vec![address.clone()], vec![]);
    config.socket_mode = 0o606;
    (address, path, config)
}

fn bind(address: &ListenAddress, config: &ClientConfig) -> Result<Listener, BindError> {
    Listener::bind(
        address,
        config,
        &SystemdSockets::default(),
        &Network::System,
    )
}

#[tokio::test]
async fn a_unix_socket_has_its_mode_and_goes_with_its_listener() {
    let folder = tempfile::tempdir().unwrap();
    let (address, path, config) = unix(&folder);
    let listener = bind(&address, &config).unwrap();
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o606
    );
    assert!(matches!(
        bind(&address, &config),
        Err(BindError::InUse { .. })
    ));
    listener.close();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_stale_socket_is_replaced_and_a_file_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let (address, path, config) = unix(&folder);
    drop(bind(&address, &config).unwrap());
    assert!(path.exists(), "a killed process leaves its socket");
    bind(&address, &config).unwrap().close();

    fs::write(&path, "precious").unwrap();
    assert!(matches!(
        bind(&address, &config),
        Err(BindError::NoSocket { .. })
    ));
    assert_eq!(fs::read(&path).unwrap(), b"precious");
}

#[tokio::test]
async fn a_socket_that_another_process_has_put_there_stays() {
    let folder = tempfile::tempdir().unwrap();
    let (address, path, config) = unix(&folder);
    let old = bind(&address, &config).unwrap();
    fs::remove_file(&path).unwrap();
    let new = bind(&address, &config).unwrap();
    old.close();
    assert!(path.exists());
    new.close();
}

#[tokio::test]
async fn an_unknown_group_a_taken_port_and_a_missing_socket_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let (address, _, mut config) = unix(&folder);
    config.socket_group = Some("nosuchgroup".to_owned());
    assert!(matches!(
        bind(&address, &config),
        Err(BindError::NoGroup { .. })
    ));

    let first = bind(&"tcp://127.0.0.1:0".parse().unwrap(), &config).unwrap();
    let error = bind(first.address(), &config).unwrap_err().to_string();
    assert!(error.contains("another process listens there"), "{error}");

    let error = bind(&"systemd:milter".parse().unwrap(), &config)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("FileDescriptorName=") && error.ends_with("there are: none"),
        "{error}"
    );
}

#[tokio::test]
async fn what_is_set_on_a_listener_holds_for_its_connections() {
    let config = ClientConfig::new(vec![], vec![]);
    let listener = bind(&"tcp://127.0.0.1:0".parse().unwrap(), &config).unwrap();
    let ListenAddress::Tcp(address) = listener.address() else {
        panic!("TCP")
    };
    let _client = std::net::TcpStream::connect(address).unwrap();
    let Stream::Tcp(stream, _) = listener.accept().await.unwrap() else {
        panic!("TCP")
    };
    let socket = SockRef::from(&stream);
    assert!(socket.tcp_nodelay().unwrap() && socket.keepalive().unwrap());
    assert_eq!(socket.tcp_keepalive_time().unwrap(), KEEPALIVE);
}
