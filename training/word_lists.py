"""Common words of the languages that training.languages speaks, in the script its engine reads best.

Mandarin is in pinyin with tone numbers, Japanese in kana, and Arabic has its short vowels: without
them espeak-ng would leave them out or spell the characters.
"""

from __future__ import annotations

WORDS: dict[str, tuple[str, ...]] = {
    language: tuple(text.split())
    for language, text in {
        "cmn": """ni3hao3 wo3men xie4xie zai4jian4 xue2sheng1 lao3shi1 zhong1guo2 piao4liang peng2you3 chi1fan4
he1shui3 kan4shu1 xue2xiao4 yi1yuan4 fei1ji1 huo3che1 qi4che1 zi4xing2che1 mao1 gou3 niao3 yu2 niu2 yang2 ma3
ping2guo3 xi1gua1 pu2tao2 mi3fan4 mian4bao1 niu2nai3 cha2 ka1fei1 jin1tian1 ming2tian1 zuo2tian1 xing1qi1
yue4liang tai4yang2 xing1xing fang2zi men2 chuang1hu zhuo1zi yi3zi fu4qin1 mu3qin1 ge1ge jie3jie di4di mei4mei
hong2se4 bai2se4 hei1se4 lv4se4 lan2se4 da4 xiao3 gao1 ai3 kuai4 man4 leng3 re4 hao3 huai4 duo1 shao3 lai2 qu4
pao3 zou3 shuo1 ting1 wen4 mai3 mai4 xi3huan1 ai4 zhi1dao4 ren4shi bang1zhu4 gong1zuo4 shui4jiao4 ri4 er4 ren2""",
        "hi": """पानी घर किताब अच्छा छोटा बड़ा लड़का लड़की माँ पिता भाई बहन दोस्त खाना दूध चाय फल आम केला सेब
सूरज चाँद तारा आसमान बादल बारिश हवा आग मिट्टी पेड़ फूल पत्ता पक्षी मछली कुत्ता बिल्ली गाय घोड़ा हाथी शेर
सड़क गाड़ी नाव रेल शहर गाँव बाज़ार दुकान स्कूल शिक्षक काम पैसा समय दिन रात सुबह शाम आज कल साल महीना
लाल नीला हरा पीला काला सफ़ेद गरम ठंडा नया पुराना सुंदर तेज़ धीरे ऊपर नीचे बाहर भीतर आना जाना देखना सुनना
बोलना पढ़ना लिखना सोना उठना हँसना रोना गाना नाचना प्यार खुशी शांति भूख प्यास झूठ सच ढोल ठीक थोड़ा""",
        "es": """casa perro gato agua fuego tierra viento cielo luna sol estrella madre padre hermano hermana amigo
niño niña hombre mujer pueblo ciudad calle puerta ventana mesa silla cama libro papel lápiz escuela maestro
pan leche queso huevo carne pescado manzana naranja uva vino café azúcar rojo verde azul blanco negro amarillo
grande pequeño bueno malo nuevo viejo joven rápido lento caliente frío comer beber dormir correr saltar cantar
bailar hablar escuchar mirar leer escribir jugar trabajar mañana tarde noche hoy ayer siempre nunca quizás
guerra paz jabón zapato llave lluvia hoja queja ojo boca mano pie cabeza""",
        "fr-fr": """maison chien chat eau feu terre vent ciel lune soleil étoile mère père frère sœur ami enfant
homme femme ville village rue porte fenêtre table chaise lit livre papier crayon école maître pain lait fromage
œuf viande poisson pomme orange raisin vin café sucre rouge vert bleu blanc noir jaune grand petit bon mauvais
nouveau vieux jeune rapide lent chaud froid manger boire dormir courir sauter chanter danser parler écouter
regarder lire écrire jouer travailler matin soir nuit demain hier toujours jamais peut-être feuille pluie neige
montagne rivière oiseau cheval vache mouton bouche main pied tête chapeau chaussure bonjour merci beaucoup""",
        "de": """Haus Hund Katze Wasser Feuer Erde Wind Himmel Mond Sonne Stern Mutter Vater Bruder Schwester
Freund Kind Mann Frau Stadt Dorf Straße Tür Fenster Tisch Stuhl Bett Buch Papier Bleistift Schule Lehrer Brot
Milch Käse Fleisch Fisch Apfel Birne Traube Wein Kaffee Zucker rot grün blau weiß schwarz gelb groß klein gut
schlecht neu alt jung schnell langsam heiß kalt essen trinken schlafen laufen springen singen tanzen sprechen
hören sehen lesen schreiben spielen arbeiten Morgen Abend Nacht heute gestern immer niemals vielleicht Pferd
Vogel Kuh Schaf Mund Hand Fuß Kopf Schuh Hemd Pfütze zwölf schön über möglich""",
        "ja": """ありがとう さくら しゃしん おはよう こんにちは さようなら ともだち せんせい がくせい がっこう
ほん かみ えんぴつ つくえ いす まど とびら いえ みち まち むら やま かわ うみ そら くも あめ ゆき かぜ ひ
つき ほし はな き くさ いぬ ねこ とり さかな うし うま ひつじ りんご みかん ぶどう ごはん ぱん ぎゅうにゅう
おちゃ みず さとう しお にく たまご あか あお しろ くろ きいろ みどり おおきい ちいさい あたらしい ふるい
はやい おそい あつい さむい たべる のむ ねる はしる とぶ うたう おどる はなす きく みる よむ かく あそぶ
はたらく あさ ひる よる きょう あした きのう いつも ちょっと びょういん ひゃく ふたり じてんしゃ でんわ""",
        "ar": """كِتَاب قَلَم بَيْت شَمْس قَمَر نَجْم سَمَاء أَرْض مَاء نَار هَوَاء بَحْر نَهْر جَبَل شَجَرَة زَهْرَة
وَرَقَة طَائِر سَمَك كَلْب قِطَّة حِصَان بَقَرَة خَرُوف أُمّ أَب أَخ أُخْت صَدِيق وَلَد بِنْت رَجُل مَدِينَة قَرْيَة
شَارِع بَاب نَافِذَة طَاوِلَة كُرْسِيّ سَرِير مَدْرَسَة مُعَلِّم طَالِب خُبْز حَلِيب جُبْن بَيْض لَحْم تُفَّاح
بُرْتُقَال عِنَب تَمْر قَهْوَة شَاي سُكَّر مِلْح أَحْمَر أَزْرَق أَبْيَض أَسْوَد أَصْفَر أَخْضَر كَبِير صَغِير
جَدِيد قَدِيم جَمِيل سَرِيع بَطِيء حَارّ بَارِد يَأْكُل يَشْرَب يَنَام يَكْتُب يَقْرَأ يَسْمَع يَلْعَب صَبَاح مَسَاء
لَيْل يَوْم غَدًا دَائِمًا شُكْرًا مَرْحَبًا ثَلْج ذَهَب ظِلّ ضَوْء غُرْفَة""",
        "ru": """дом собака кошка вода огонь земля ветер небо луна солнце звезда мама отец брат сестра друг ребёнок
мужчина женщина город деревня улица дверь окно стол стул кровать книга бумага карандаш школа учитель хлеб молоко
сыр яйцо мясо рыба яблоко груша виноград вино кофе сахар красный зелёный синий белый чёрный жёлтый большой
маленький хороший плохой новый старый молодой быстрый медленный горячий холодный кушать пить спать бежать прыгать
петь танцевать говорить слушать смотреть читать писать играть работать утро вечер ночь сегодня завтра вчера всегда
никогда может птица лошадь корова рука нога голова шапка борщ жизнь любовь мышь цветок""",
        "pt": """casa cachorro gato água fogo terra vento céu lua sol estrela mãe pai irmão irmã amigo menino menina
homem mulher cidade aldeia rua porta janela mesa cadeira cama livro papel lápis escola professor pão leite queijo
ovo carne peixe maçã laranja uva vinho café açúcar vermelho verde azul branco preto amarelo grande pequeno bom mau
novo velho jovem rápido lento quente frio comer beber dormir correr saltar cantar dançar falar ouvir olhar ler
escrever jogar trabalhar manhã tarde noite hoje ontem sempre nunca talvez chuva folha pássaro cavalo vaca ovelha
boca mão pé cabeça chapéu sapato coração obrigado limões canções""",
        "tr": """ev köpek kedi su ateş toprak rüzgar gökyüzü ay güneş yıldız anne baba kardeş abla arkadaş çocuk adam
kadın şehir köy sokak kapı pencere masa sandalye yatak kitap kağıt kalem okul öğretmen ekmek süt peynir yumurta et
balık elma portakal üzüm çay kahve şeker kırmızı yeşil mavi beyaz siyah sarı büyük küçük iyi kötü yeni eski genç
hızlı yavaş sıcak soğuk yemek içmek uyumak koşmak atlamak şarkı dans konuşmak dinlemek bakmak okumak yazmak oynamak
çalışmak sabah akşam gece bugün yarın dün her zaman asla belki kuş at inek koyun ağız el ayak baş şapka ayakkabı
yağmur yaprak teşekkür merhaba""",
        "ko": """안녕 학교 사랑 친구 선생님 학생 어머니 아버지 형 누나 동생 아이 남자 여자 도시 마을 거리 문 창문 책상
의자 침대 책 종이 연필 집 물 불 땅 바람 하늘 달 해 별 산 강 바다 나무 꽃 잎 새 물고기 개 고양이 말 소 양 밥 빵
우유 고기 계란 사과 배 포도 커피 차 설탕 소금 빨간 파란 하얀 검은 노란 초록 큰 작은 좋은 나쁜 새로운 오래된 젊은
빠른 느린 뜨거운 차가운 먹다 마시다 자다 뛰다 노래 춤 말하다 듣다 보다 읽다 쓰다 놀다 일하다 아침 저녁 밤 오늘
내일 어제 항상 아마 감사 비 눈 손 발 머리 모자 구두 쌀 뼈 까치""",
        "sw": """nyumba mbwa paka maji moto ardhi upepo mbingu mwezi jua nyota mama baba kaka dada rafiki mtoto mwanaume
mwanamke mji kijiji barabara mlango dirisha meza kiti kitanda kitabu karatasi kalamu shule mwalimu mwanafunzi mkate
maziwa jibini yai nyama samaki chungwa embe ndizi kahawa chai sukari chumvi nyekundu kijani buluu nyeupe nyeusi njano
kubwa dogo nzuri mbaya mpya zamani kijana haraka polepole kula kunywa kulala kukimbia kuruka kuimba kucheza kusema
kusikiliza kuangalia kusoma kuandika kufanya asubuhi jioni usiku leo kesho jana daima labda ndege farasi ng'ombe
kondoo mdomo mkono mguu kichwa kofia kiatu mvua jani asante karibu vizuri ghali dhahabu thamani""",
        "vi": """nhà chó mèo nước lửa đất gió trời trăng sao mẹ cha anh chị em bạn trẻ người phố làng đường cửa bàn ghế
giường sách giấy bút trường thầy bánh sữa trứng thịt cá táo cam nho rượu trà muối đỏ xanh trắng đen vàng lớn nhỏ tốt
xấu mới cũ nhanh chậm nóng lạnh ăn uống ngủ chạy nhảy hát múa nói nghe nhìn đọc viết chơi làm sáng chiều tối hôm nay
mai luôn không bao giờ có lẽ chim ngựa bò cừu miệng tay chân đầu mũ giày mưa lá tuyết núi sông biển cây hoa cảm ơn
xin chào đẹp yêu thương học""",
        "id": """rumah anjing kucing air api tanah angin langit bulan matahari bintang ibu ayah kakak adik teman anak pria
wanita kota desa jalan pintu jendela meja kursi ranjang buku kertas pensil sekolah guru murid roti susu keju telur
daging ikan apel jeruk anggur kopi teh gula garam merah hijau biru putih hitam kuning besar kecil baik buruk baru
lama muda cepat lambat panas dingin makan minum tidur berlari melompat menyanyi menari berbicara mendengar melihat
membaca menulis bermain bekerja pagi sore malam hari ini besok kemarin selalu mungkin burung kuda sapi domba mulut
tangan kaki kepala topi sepatu hujan daun nyamuk syukur terima kasih""",
        "el": """σπίτι σκύλος γάτα νερό φωτιά γη αέρας ουρανός φεγγάρι ήλιος αστέρι μητέρα πατέρας αδελφός αδελφή φίλος
παιδί άντρας γυναίκα πόλη χωριό δρόμος πόρτα παράθυρο τραπέζι καρέκλα κρεβάτι βιβλίο χαρτί μολύβι σχολείο δάσκαλος
ψωμί γάλα τυρί αυγό κρέας ψάρι μήλο πορτοκάλι σταφύλι κρασί καφές ζάχαρη κόκκινο πράσινο μπλε άσπρο μαύρο κίτρινο
μεγάλος μικρός καλός κακός νέος παλιός γρήγορα αργά ζεστό κρύο τρώω πίνω κοιμάμαι τρέχω πηδάω τραγουδώ χορεύω μιλάω
ακούω βλέπω διαβάζω γράφω παίζω δουλεύω πρωί βράδυ νύχτα σήμερα αύριο χθες πάντα ποτέ ίσως πουλί άλογο αγελάδα
στόμα χέρι πόδι κεφάλι καπέλο παπούτσι βροχή φύλλο θάλασσα ευχαριστώ ντομάτα""",
        "cs": """dům pes kočka voda oheň země vítr nebe měsíc slunce hvězda matka otec bratr sestra přítel dítě muž žena město
vesnice ulice dveře okno stůl židle postel kniha papír tužka škola učitel chléb mléko sýr vejce maso ryba jablko hruška
víno káva cukr červený zelený modrý bílý černý žlutý velký malý dobrý špatný nový starý mladý rychlý pomalý horký
studený jíst pít spát běžet skákat zpívat tančit mluvit poslouchat dívat číst psát hrát pracovat ráno večer noc dnes
zítra včera vždy nikdy možná pták kůň kráva ovce ústa ruka noha hlava klobouk bota déšť list sníh hora řeka děkuji
prosím pět pěkný spěchat objem oběd pšenice hřbet břeh břicho příběh přijít zub dub sbírka odpověď promiňte schůze
vstávat svatba hudba služba chyba mzda""",
        "uk": """дім собака кішка вода вогонь земля вітер небо місяць сонце зірка мати батько брат сестра друг дитина чоловік
жінка місто село вулиця двері вікно стіл стілець ліжко книга папір олівець школа вчитель хліб молоко сир яйце м'ясо
риба яблуко груша вино кава цукор червоний зелений синій білий чорний жовтий великий малий добрий поганий новий старий
молодий швидкий повільний гарячий холодний їсти пити спати бігти стрибати співати танцювати говорити слухати дивитися
читати писати грати працювати ранок вечір ніч сьогодні завтра вчора завжди ніколи можливо птах кінь корова вівця рот
рука нога голова капелюх черевик дощ листок сніг гора річка дякую будь п'ять п'ю б'ємо об'єкт сім'я ім'я пшениця бджола
збирати здібний просьба свадьба боротьба пробачте сподіватися""",
        "hr": """kuća pas mačka voda vatra zemlja vjetar nebo mjesec sunce zvijezda majka otac brat sestra prijatelj dijete
čovjek žena grad selo ulica vrata prozor stol stolica krevet knjiga papir olovka škola učitelj kruh mlijeko sir jaje
meso riba jabuka kruška vino kava šećer crven zelen plav bijel crn žut velik malen dobar loš nov star mlad brz spor
vruć hladan jesti piti spavati trčati skakati pjevati plesati govoriti slušati gledati čitati pisati igrati raditi
jutro večer noć danas sutra jučer uvijek nikad možda ptica konj krava ovca usta ruka noga glava šešir cipela kiša list
snijeg planina rijeka hvala molim pjesma pjena objasniti obitelj bjelina mjera mjesto džep žbuka izbor svadba pšenica
spavaća vrabac obrva tamburica""",
        "bg": """къща куче котка вода огън земя вятър небе луна слънце звезда майка баща брат сестра приятел дете мъж жена град
село улица врата прозорец маса стол легло книга хартия молив училище учител хляб мляко сирене яйце месо риба ябълка
круша вино кафе захар червен зелен син бял черен жълт голям малък добър лош нов стар млад бърз бавен горещ студен ям
пия спя бягам скачам пея танцувам говоря слушам гледам чета пиша играя работя сутрин вечер нощ днес утре вчера винаги
никога може птица кон крава овца уста ръка крак глава шапка обувка дъжд лист сняг планина река благодаря моля
пшеница бюро пюре обяд сбирка сватба борба просба изба дъб зъб лъв общество въпрос отговор любопитен обувки
пръст съпруг бъбрек""",
        "ro": """casă câine pisică apă foc pământ vânt cer lună soare stea mamă tată frate soră prieten copil bărbat femeie
oraș sat stradă ușă fereastră masă scaun pat carte hârtie creion școală profesor pâine lapte brânză ou carne pește măr
pară vin cafea zahăr roșu verde albastru alb negru galben mare mic bun rău nou vechi tânăr repede încet cald rece mânca
bea dormi alerga sări cânta dansa vorbi asculta privi citi scrie juca lucra dimineață seară noapte astăzi mâine ieri
mereu niciodată poate pasăre cal vacă oaie gură mână picior cap pălărie pantof ploaie frunză zăpadă munte râu mulțumesc
piatră piept pământesc obiect biet bine umbră zâmbet îmbrăcat împreună slab alb corb pom lup domn somn timp câmp
albină porumb primăvară""",
        "hu": """ház kutya macska víz tűz föld szél ég hold nap csillag anya apa testvér nővér barát gyerek férfi nő város
falu utca ajtó ablak asztal szék ágy könyv papír ceruza iskola tanár kenyér tej sajt tojás hús hal alma körte bor kávé
cukor piros zöld kék fehér fekete sárga nagy kicsi jó rossz új régi fiatal gyors lassú forró hideg enni inni aludni
futni ugrani énekelni táncolni beszélni hallgatni nézni olvasni írni játszani dolgozni reggel este éjszaka ma holnap
tegnap mindig soha talán madár ló tehén juh száj kéz láb fej kalap cipő eső levél hó hegy folyó köszönöm szépen
méhecske bimbó pipacs gomb domb lomb lepke zab doboz üveg bőr püspök öböl gömb többször szombat lámpa templom ember
pénz bíbor gyümölcs""",
        "nl": """huis hond kat water vuur aarde wind hemel maan zon ster moeder vader broer zus vriend kind man vrouw stad dorp
straat deur raam tafel stoel bed boek papier potlood school leraar brood melk kaas ei vlees vis appel peer wijn koffie
suiker rood groen blauw wit zwart geel groot klein goed slecht nieuw oud jong snel langzaam heet koud eten drinken slapen
rennen springen zingen dansen spreken luisteren kijken lezen schrijven spelen werken morgen avond nacht vandaag gisteren
altijd nooit misschien vogel paard koe schaap mond hand voet hoofd hoed schoen regen blad sneeuw berg rivier bedankt
alsjeblieft bloem boom lepel mes vork bril breken blijven praten plaats schip kamp lamp lamb herfst opbouwen uitbreiden
probleem nummer bus puur duur muur beurt deugd gezellig""",
        "sv": """hus hund katt vatten eld jord vind himmel måne sol stjärna mor far bror syster vän barn man kvinna stad by gata
dörr fönster bord stol säng bok papper penna skola lärare bröd mjölk ost ägg kött fisk äpple päron vin kaffe socker röd
grön blå vit svart gul stor liten god dålig ny gammal ung snabb långsam het kall äta dricka sova springa hoppa sjunga
dansa tala lyssna titta läsa skriva spela arbeta morgon kväll natt idag igår alltid aldrig kanske fågel häst ko får mun
hand fot huvud hatt sko regn löv snö berg flod tack snälla björk björn pjäs spjut blomma blad brev bro plats pris
sommar kamp lampa jobb klubb ömsom hjälp sköld sju tjugo kyrka""",
        "it": """casa cane gatto acqua fuoco terra vento cielo luna sole stella madre padre fratello sorella amico
bambino uomo donna città paese strada porta finestra tavolo sedia letto libro carta matita scuola maestro pane latte
formaggio uovo carne pesce mela arancia uva vino caffè zucchero rosso verde blu bianco nero giallo grande piccolo
buono cattivo nuovo vecchio giovane veloce lento caldo freddo mangiare bere dormire correre saltare cantare ballare
parlare ascoltare guardare leggere scrivere giocare lavorare mattina sera notte oggi domani ieri sempre mai forse
uccello cavallo mucca pecora bocca mano piede testa cappello scarpa pioggia foglia gnocchi famiglia bello di che non
il la un una per sono in con si ho ma mi lo ti se come cosa hai le bene questo su anche tutto io qui solo fatto stato
te lei lui noi voi loro mio tuo suo nostro vostro quello quando dove perché chi quanto molto poco ancora adesso allora
però quindi dopo prima fuori dentro sopra sotto vicino lontano insieme qualcosa qualcuno niente nessuno ogni altro
stesso proprio vero forte certo sicuro possibile importante facile difficile libero pieno vuoto aperto chiuso alto
basso lungo corto largo stretto pesante leggero dolce amaro ricco povero felice triste stanco malato sano pulito
sporco essere avere fare dire andare venire vedere sapere potere volere dovere stare dare sentire trovare pensare
credere capire chiedere rispondere aspettare portare prendere mettere lasciare aprire chiudere cominciare finire
continuare cambiare aiutare provare cercare perdere vincere vivere morire nascere crescere ricordare dimenticare
comprare vendere pagare costare cucinare lavare pulire vestire viaggiare partire arrivare tornare entrare uscire
salire scendere camminare nuotare volare ridere piangere amare odiare sperare sognare tempo anno mese settimana giorno
ora minuto momento vita morte mondo posto parte volta modo problema domanda risposta parola nome numero lettera storia
notizia lavoro soldi banca ufficio negozio mercato ospedale medico farmacia polizia stazione treno autobus aereo barca
bicicletta macchina ponte piazza chiesa museo teatro cinema parco giardino albero fiore erba montagna collina fiume
lago mare spiaggia isola neve ghiaccio nuvola tempesta primavera estate autunno inverno lunedì martedì mercoledì
giovedì venerdì sabato domenica gennaio febbraio aprile maggio giugno luglio agosto settembre ottobre novembre
dicembre due tre quattro cinque sei sette otto nove dieci cento mille corpo faccia occhio naso orecchio dente lingua
collo spalla braccio dito gamba cuore sangue stomaco schiena pelle capelli voce musica canzone gioco palla squadra
scacchi figlio figlia nonno nonna zio zia cugino marito moglie ragazzo ragazza signore signora gente popolo re regina
soldato avvocato giudice ingegnere cuoco cameriere contadino pittore scrittore zuppa riso pasta pomodoro patata
cipolla aglio insalata olio burro sale pepe prosciutto pollo gambero limone pesca pera ciliegia fragola gelato torta
biscotto birra bicchiere piatto coltello forchetta cucchiaio bottiglia chiave specchio orologio coperta cuscino
lampada candela ombrello borsa vestito gonna camicia giacca calza guanto anello verità bugia paura rabbia gioia amore
pace guerra legge governo scienza arte esempio sbaglio ragione segreto sogno viaggio regalo festa compleanno
buongiorno grazie prego scusa ciao piacere benvenuto arrivederci""",
        "pl": """dom pies kot woda ogień ziemia wiatr niebo księżyc słońce gwiazda matka ojciec brat siostra
przyjaciel dziecko mężczyzna kobieta miasto wieś ulica drzwi okno stół krzesło łóżko książka papier ołówek szkoła
nauczyciel chleb mleko ser jajko mięso ryba jabłko gruszka wino kawa cukier czerwony zielony niebieski biały czarny
żółty duży mały dobry zły nowy stary młody szybki wolny gorący zimny jeść pić spać biegać skakać śpiewać tańczyć mówić
słuchać patrzeć czytać pisać grać pracować rano wieczór noc dzisiaj jutro wczoraj zawsze nigdy może ptak koń krowa
owca usta ręka noga głowa kapelusz but deszcz liść śnieg góra rzeka dziękuję i w nie na się z do to że jest jak co ale
po tak za od już tylko czy być o bardzo tu teraz gdy kiedy gdzie dlaczego kto ile jeszcze potem przed pod nad między
obok daleko blisko razem coś ktoś nic nikt każdy inny sam taki ten ta ty on ona my wy oni mój twój jego jej nasz wasz
ich swój jeden dwa trzy cztery pięć sześć siedem osiem dziewięć dziesięć sto tysiąc pierwszy drugi ostatni prawdziwy
pewny możliwy ważny łatwy trudny wolno pełny pusty otwarty zamknięty wysoki niski długi krótki szeroki wąski ciężki
lekki słodki gorzki bogaty biedny szczęśliwy smutny zmęczony chory zdrowy czysty brudny mieć robić iść przyjść widzieć
wiedzieć móc chcieć musieć dać brać czuć znaleźć myśleć wierzyć rozumieć pytać odpowiadać czekać nosić położyć
zostawić otworzyć zamknąć zacząć skończyć zmienić pomagać próbować szukać stracić wygrać żyć umrzeć urodzić rosnąć
pamiętać zapomnieć kupić sprzedać płacić kosztować gotować myć sprzątać podróżować wyjechać wrócić wejść wyjść chodzić
pływać latać śmiać płakać kochać nienawidzić marzyć czas rok miesiąc tydzień dzień godzina minuta chwila życie śmierć
świat miejsce część raz sposób problem pytanie odpowiedź słowo imię numer list historia wiadomość praca pieniądze bank
biuro sklep rynek szpital lekarz apteka policja dworzec pociąg autobus samolot łódź rower samochód most plac kościół
muzeum teatr kino park ogród drzewo kwiat trawa wzgórze jezioro morze plaża wyspa lód chmura burza wiosna lato jesień
zima poniedziałek wtorek środa czwartek piątek sobota niedziela styczeń luty marzec kwiecień maj czerwiec lipiec
sierpień wrzesień październik listopad grudzień ciało twarz oko nos ucho ząb język szyja ramię palec serce krew brzuch
plecy skóra włosy głos muzyka piosenka gra piłka drużyna syn córka dziadek babcia wujek ciocia kuzyn mąż żona chłopak
dziewczyna pan pani ludzie naród król królowa żołnierz prawnik sędzia inżynier kucharz kelner rolnik malarz pisarz
zupa ryż makaron pomidor ziemniak cebula czosnek sałata olej masło sól pieprz szynka kurczak cytryna brzoskwinia
śliwka wiśnia truskawka lody ciasto piwo szklanka talerz nóż widelec łyżka butelka klucz lustro zegar koc poduszka
lampa świeca parasol torba sukienka spódnica koszula kurtka skarpeta rękawiczka pierścionek prawda kłamstwo strach
gniew radość miłość pokój wojna prawo rząd nauka sztuka przykład błąd powód tajemnica sen podróż prezent święto
urodziny proszę przepraszam cześć witaj dobranoc zawód wiek okręt wąż lew niedźwiedź wilk lis zając mysz pszczoła
mucha motyl żaba wróbel gęś kaczka las pole kamień piasek żelazo złoto srebro szkło drewno papieros zapałka maszyna
narzędzie młotek gwóźdź sznur barwa kształt liczba połowa koniec początek środek strona ściana dach podłoga schody
piwnica kuchnia łazienka sypialnia balkon płot brama budynek wieża zamek pałac""",
    }.items()
}
"""espeak-ng's code of a language -> words, each a string without spaces."""
