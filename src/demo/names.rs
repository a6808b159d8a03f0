//! Common given names, family names and street names, from which the demo makes people up.
//!
//! Lists of common words, in no relation to each other: a pair drawn from them is nobody in
//! particular.

/// Given names.
#[rustfmt::skip]
pub(super) const GIVEN: &[&str] = &[
    "Aaron", "Abigail", "Adam", "Aisha", "Alan", "Alexander", "Alice", "Amanda", "Amelia", "Andrea", "Andrew", "Angela",
    "Anna", "Anthony", "Arthur", "Barbara", "Benjamin", "Beth", "Brandon", "Brian", "Carlos", "Carol", "Caroline",
    "Catherine", "Charles", "Charlotte", "Christina", "Christopher", "Claire", "Daniel", "David", "Deborah", "Denise",
    "Diana", "Donald", "Dorothy", "Edward", "Elena", "Elizabeth", "Emily", "Emma", "Eric", "Ethan", "Eva", "Florence",
    "Frances", "Frank", "Gabriel", "George", "Gloria", "Grace", "Gregory", "Hannah", "Harold", "Heather", "Helen",
    "Henry", "Ian", "Irene", "Isaac", "Isabella", "Jack", "Jacob", "James", "Janet", "Jason", "Jennifer", "Jessica",
    "Joan", "John", "Jonathan", "Joseph", "Joshua", "Julia", "Karen", "Katherine", "Keith", "Kenneth", "Kevin",
    "Kimberly", "Laura", "Lauren", "Lawrence", "Leonard", "Linda", "Louis", "Lucas", "Lucy", "Margaret", "Maria",
    "Marie", "Mark", "Martha", "Martin", "Matthew", "Megan", "Michael", "Michelle", "Miguel", "Nancy", "Natalie",
    "Nathan", "Nicholas", "Nicole", "Nora", "Olivia", "Pamela", "Patricia", "Patrick", "Paul", "Peter", "Philip",
    "Rachel", "Ralph", "Raymond", "Rebecca", "Richard", "Robert", "Rosa", "Ruth", "Samantha", "Samuel", "Sandra",
    "Sarah", "Scott", "Simon", "Sofia", "Stephen", "Steven", "Susan", "Teresa", "Theodore", "Thomas", "Timothy",
    "Valerie", "Victor", "Victoria", "Vincent", "Virginia", "Walter", "William", "Zoe",
];

/// Family names.
#[rustfmt::skip]
pub(super) const FAMILY: &[&str] = &[
    "Adams", "Allen", "Alvarez", "Anderson", "Bailey", "Baker", "Barnes", "Becker", "Bell", "Bennett", "Brooks",
    "Brown", "Bryant", "Butler", "Campbell", "Carter", "Castillo", "Chavez", "Clark", "Coleman", "Collins", "Cook",
    "Cooper", "Cox", "Cruz", "Davis", "Delgado", "Diaz", "Edwards", "Evans", "Fischer", "Fisher", "Flores", "Foster",
    "Garcia", "Gibson", "Gomez", "Gonzalez", "Graham", "Gray", "Green", "Griffin", "Gupta", "Gutierrez", "Hall",
    "Hamilton", "Hansen", "Harris", "Harrison", "Hayes", "Henderson", "Hernandez", "Hill", "Hoffman", "Howard",
    "Hughes", "Ibrahim", "Jackson", "James", "Jenkins", "Jensen", "Johnson", "Jones", "Jordan", "Kelly", "Kennedy",
    "Khan", "Kim", "King", "Klein", "Kowalski", "Larson", "Lee", "Lewis", "Long", "Lopez", "Marshall", "Martin",
    "Martinez", "Mason", "McDonald", "Meyer", "Miller", "Mitchell", "Moore", "Morales", "Morgan", "Morris", "Murphy",
    "Murray", "Myers", "Nelson", "Nguyen", "Novak", "O'Brien", "O'Connor", "Olson", "Ortiz", "Owens", "Park", "Parker",
    "Patel", "Patterson", "Perez", "Perry", "Peterson", "Phillips", "Powell", "Price", "Ramirez", "Reed", "Reyes",
    "Reynolds", "Richardson", "Rivera", "Roberts", "Robinson", "Rodriguez", "Rogers", "Romero", "Rossi", "Ruiz",
    "Russell", "Ryan", "Sanchez", "Sanders", "Schmidt", "Schneider", "Scott", "Silva", "Simmons", "Singh", "Smith",
    "Stewart", "Sullivan", "Tanaka", "Taylor", "Thomas", "Thompson", "Torres", "Tran", "Turner", "Vasquez", "Wagner",
    "Walker", "Wallace", "Ward", "Washington", "Watson", "Weber", "West", "White", "Williams", "Wilson", "Wood",
    "Woods", "Wright", "Young", "Zimmerman",
];

/// Short forms: a given name and what a form may hold instead.
pub(super) const SHORT_FORMS: &[(&str, &str)] = &[
    ("Abigail", "Abby"),
    ("Alexander", "Alex"),
    ("Amanda", "Mandy"),
    ("Andrew", "Andy"),
    ("Anthony", "Tony"),
    ("Barbara", "Barb"),
    ("Benjamin", "Ben"),
    ("Catherine", "Cathy"),
    ("Charles", "Charlie"),
    ("Christina", "Tina"),
    ("Christopher", "Chris"),
    ("Daniel", "Dan"),
    ("David", "Dave"),
    ("Deborah", "Debbie"),
    ("Edward", "Ed"),
    ("Elizabeth", "Liz"),
    ("Gregory", "Greg"),
    ("James", "Jim"),
    ("Jennifer", "Jenny"),
    ("Jessica", "Jess"),
    ("Jonathan", "Jon"),
    ("Joseph", "Joe"),
    ("Joshua", "Josh"),
    ("Katherine", "Kate"),
    ("Kenneth", "Ken"),
    ("Kimberly", "Kim"),
    ("Margaret", "Maggie"),
    ("Matthew", "Matt"),
    ("Michael", "Mike"),
    ("Nicholas", "Nick"),
    ("Pamela", "Pam"),
    ("Patricia", "Pat"),
    ("Rebecca", "Becky"),
    ("Richard", "Rick"),
    ("Robert", "Bob"),
    ("Samantha", "Sam"),
    ("Samuel", "Sam"),
    ("Stephen", "Steve"),
    ("Steven", "Steve"),
    ("Theodore", "Ted"),
    ("Thomas", "Tom"),
    ("Timothy", "Tim"),
    ("Victoria", "Vicky"),
    ("William", "Bill"),
];

/// Street names.
#[rustfmt::skip]
pub(super) const STREETS: &[&str] = &[
    "Maple Street", "Oak Avenue", "Cedar Lane", "Elm Street", "Park Road", "Mill Road", "Church Street", "High Street",
    "Lake Drive", "Hill Street", "Washington Avenue", "River Road", "Sunset Boulevard", "Meadow Lane", "Spring Street",
    "School Street", "Garden Court", "Chestnut Street", "Union Street", "Highland Avenue", "Railroad Street",
    "Willow Way", "Orchard Road", "Prospect Avenue",
];

/// Towns with the first three digits of the postcodes the demo gives them.
pub(super) const TOWNS: &[(&str, u16)] = &[
    ("Fairview", 450),
    ("Midway", 451),
    ("Oak Grove", 452),
    ("Franklin", 453),
    ("Riverside", 454),
    ("Centerville", 455),
    ("Mount Pleasant", 456),
    ("Georgetown", 457),
    ("Salem", 458),
    ("Greenwood", 459),
];

/// Mail providers, a frequent one several times. All but the first are names reserved for examples
/// (RFC 2606).
pub(super) const MAIL_DOMAINS: &[&str] = &[
    "gmail.com",
    "gmail.com",
    "gmail.com",
    "example.com",
    "example.com",
    "example.net",
    "example.org",
];
